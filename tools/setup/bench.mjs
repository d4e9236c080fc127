import { start } from './start.mjs';

await start('tools/bench/main.ts', process.argv.slice(2));
