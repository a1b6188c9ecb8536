// SPDX-License-Identifier: Apache-2.0 OR MIT
// A real `e4 serve` in a directory of its own, its tokens, and devices that really answer.
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const PROGRAM = process.env.E4_PROGRAM;

/** Waits until `look` returns something. */
export async function until(what, look, seconds = 30) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`no ${what} in ${seconds} s`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

export class Server {
  constructor(mode = "symmetric") {
    this.directory = mkdtempSync(join(tmpdir(), "e4-page-"));
    this.data = join(this.directory, "data");
    this.clock = join(this.directory, "clock");
    this.log = "";
    this.devices = [];
    writeFileSync(this.clock, "0");
    const listen = ["--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"];
    this.process = spawn(
      PROGRAM,
      ["serve", "--data", this.data, "--mode", mode, ...listen]
        .concat(["--embedded-listen", "127.0.0.1:0", "--log-format", "text"])
        .concat(["--retry-first", "1"]),
      { env: { ...process.env, E4_TEST_CLOCK: this.clock, NO_COLOR: "1" }, cwd: this.directory },
    );
    this.process.stderr.on("data", (data) => (this.log += data));
  }

  async ready() {
    await until("server", () => {
      if (this.process.exitCode !== null) throw new Error(this.log);
      return /e4 serves/.test(this.log);
    });
    this.url = /HTTP: (\S+)/.exec(this.log)[1];
    this.broker = /broker="?(\S+?)"?$/m.exec(this.log)[1];
    return this;
  }

  /** Lets seconds pass on the clock of the server and of devices that are started then. */
  pass(seconds) {
    writeFileSync(this.clock, String(seconds));
  }

  token(name, role, ...more) {
    const file = join(this.directory, `${name}.token`);
    const words = ["token", "create", name, "--role", role, "--data", this.data, "--out", file];
    execFileSync(PROGRAM, words.concat(more), { stdio: "pipe" });
    return readFileSync(file, "utf8").trim();
  }

  /** A device out of what its QR code says. */
  device(code) {
    const name = `device-${this.devices.length}`;
    const file = join(this.directory, `${name}.qr`);
    writeFileSync(file, code, { mode: 0o600 });
    const words = ["device", "--qr", file, "--state", join(this.directory, `${name}.state`)];
    const device = spawn(PROGRAM, words.concat("--broker", this.broker), {
      cwd: this.directory,
      env: { ...process.env, E4_TEST_CLOCK: this.clock },
    });
    device.output = "";
    device.stdout.on("data", (data) => (device.output += data));
    device.stderr.on("data", (data) => (device.output += data));
    this.devices.push(device);
    return device;
  }

  stop() {
    for (const process of [...this.devices, this.process]) process.kill("SIGKILL");
    rmSync(this.directory, { recursive: true, force: true });
  }
}
