import { start } from './start.mjs';

await start('packages/apps/cli/src/bin.ts', ['quickstart', ...process.argv.slice(2)]);
