// Lets py-solc-x drive the npm package `solc`: standard JSON on stdin, standard JSON on stdout.
// solcjs' own command line is unfit for it: it prints a line before the JSON, and exits before a long answer is out.
// Usage: node solc_driver.cjs ROOT (--version | --standard-json)
"use strict";
const fs = require("node:fs");
const path = require("node:path");

const root = fs.realpathSync(process.argv[2]);
const solc = require(path.join(root, "node_modules", "solc"));

// Imports are read below the root only: a source must not pull in a file of the machine.
function read(name) {
  try {
    const file = fs.realpathSync(path.join(root, name));
    if (!file.startsWith(root + path.sep)) return { error: `${name} is outside the project` };
    return { contents: fs.readFileSync(file, "utf8") };
  } catch (error) {
    return { error: error.message };
  }
}

// A pipe takes 64 KiB at a time; process.exit would drop the rest.
function write(text) {
  const bytes = Buffer.from(text, "utf8");
  for (let sent = 0; sent < bytes.length;) {
    try {
      sent += fs.writeSync(1, bytes, sent);
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5); // ms, until the reader has caught up
    }
  }
}

if (process.argv.includes("--version")) {
  write(`Version: ${solc.version()}\n`);
} else {
  write(solc.compile(fs.readFileSync(0, "utf8"), { import: read }));
}
