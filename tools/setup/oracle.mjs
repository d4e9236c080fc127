import { start } from './start.mjs';

await start('tools/oracle/live/main.ts', process.argv.slice(2));
