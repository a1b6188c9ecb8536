// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// The package on the JVM. First, at the top of the repository: cargo xtask kotlin --generate
// target/kotlin/generated (it builds the library, too).
plugins {
    kotlin("jvm") version "2.4.20"
    `java-library`
    `maven-publish`
}

group = "io.e4"
version = "0.1.0"

val top = rootDir.resolve("../..")

kotlin {
    explicitApi()
    jvmToolchain(17)
    compilerOptions {
        jvmTarget = org.jetbrains.kotlin.gradle.dsl.JvmTarget.JVM_1_8
    }
}

java {
    targetCompatibility = JavaVersion.VERSION_1_8
    sourceCompatibility = JavaVersion.VERSION_1_8
    withSourcesJar()
}

sourceSets {
    main { kotlin.srcDir(top.resolve("target/kotlin/generated")) }
    test { kotlin.srcDir(top.resolve("examples/kotlin")) }
}

dependencies {
    implementation("net.java.dev.jna:jna:5.17.0")
    testImplementation(kotlin("test-junit"))
}

tasks.test {
    useJUnit()
    minHeapSize = "256m"
    maxHeapSize = "256m"
    jvmArgs("-XX:+AlwaysPreTouch")
    systemProperty("jna.library.path", top.resolve("target/debug").path)
}

publishing {
    publications {
        create<MavenPublication>("jvm") {
            artifactId = "e4"
            from(components["java"])
        }
    }
}
