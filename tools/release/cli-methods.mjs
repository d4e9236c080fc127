/** Makes every package that offers a method a dependency of the command, so that installing it brings all of them. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

const packages = new URL('../../packages/', import.meta.url);
const read = (path) => JSON.parse(readFileSync(new URL(path, packages), 'utf8'));
const tuners = readdirSync(new URL('tuners/', packages)).map((name) => read(`tuners/${name}/package.json`));

const path = 'apps/cli/package.json';
const cli = read(path);
for (const { name, version, graft } of tuners)
  if (graft?.methods && !cli.dependencies[name]) cli.dependencies[name] = `^${version}`;
writeFileSync(new URL(path, packages), `${JSON.stringify(cli, null, 2)}\n`);
