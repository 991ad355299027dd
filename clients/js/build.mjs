// Builds dist: the package for `import` (esm) and for `require` (cjs), each with its types.
import { execFileSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const run = (...command) => execFileSync(process.execPath, command, { cwd: here, stdio: "inherit" });
const compile = (project, ...options) =>
  run("node_modules/typescript/bin/tsc", "-p", project, "--noEmit", "false", ...options);

run("generate.mjs");
rmSync(`${here}dist`, { recursive: true, force: true });
const commonjs = ["--module", "commonjs", "--moduleResolution", "node10", "--verbatimModuleSyntax", "false"];
for (const [folder, options] of [["esm", []], ["cjs", commonjs]]) {
  compile("tsconfig.node.json", "--outDir", `dist/${folder}`, ...options);
}
writeFileSync(`${here}dist/cjs/package.json`, '{ "type": "commonjs" }\n');
