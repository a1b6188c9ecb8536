// SPDX-License-Identifier: Apache-2.0 OR MIT
rootProject.name = "e4"

include("e4")

dependencyResolutionManagement {
    repositories {
        mavenCentral()
    }
}
