import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { provideDependencies } from './install.mjs';
import { root, run, say } from './process.mjs';
import { provideVulkan } from './vulkan.mjs';

/** Prepares the machine, then runs a TypeScript program of this repository from source, without a build. */
export async function start(script, args) {
  try {
    await provideDependencies();
    const env = await provideVulkan();
    if (!existsSync(join(root, script))) throw new Error(`${script} does not exist`);
    const command = ['--conditions=@graftjs/source', script, ...args];
    process.exitCode = await run(join(root, 'node_modules/.bin/tsx'), command, { env, input: 'inherit' });
  } catch (error) {
    say(error.message);
    process.exitCode = 1;
  }
}
