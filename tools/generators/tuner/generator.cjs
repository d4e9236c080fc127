const { execFileSync } = require('node:child_process');
const { files } = require('./files.cjs');

/**
 * `npx nx g @graftjs/tools:tuner my-method` writes packages/tuners/my-method: a method that scales outputs, to be
 * replaced by yours. It touches no other file but the lock file.
 *
 * @param {{ exists(path: string): boolean; write(path: string, content: string): void; root: string }} tree
 * @param {{ name: string; install?: boolean }} options
 */
module.exports = function tuner(tree, { name, install = true }) {
  if (!/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(name))
    throw new Error(
      `${JSON.stringify(name)} is no name of a method: use lower case with dashes, as in my-method`,
    );
  const folder = `packages/tuners/${name}`;
  if (tree.exists(`${folder}/package.json`)) throw new Error(`${folder} is there already`);
  for (const [path, content] of Object.entries(files(name))) tree.write(`${folder}/${path}`, content);
  return () => {
    const run = (command, ...args) => execFileSync(command, args, { cwd: tree.root, stdio: 'inherit' });
    if (install) run('npm', 'install', '--no-audit', '--no-fund');
    run('npx', 'biome', 'check', '--write', folder);
  };
};
