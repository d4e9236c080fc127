/**
 * Loaded before the command by a test that stops it at one moment: the process stands still, between having printed
 * the text HOLD_AT and anything after, until the file HOLD_UNTIL is there. Else a fast run is over before the test
 * has seen how far it is.
 */
import { existsSync } from 'node:fs';

const { HOLD_AT, HOLD_UNTIL } = process.env;
const sleeper = new Int32Array(new SharedArrayBuffer(4));
const write = process.stdout.write.bind(process.stdout);

process.stdout.write = ((...args: Parameters<typeof write>) => {
  const result = write(...args);
  if (HOLD_AT && HOLD_UNTIL && String(args[0]).includes(HOLD_AT))
    while (!existsSync(HOLD_UNTIL)) Atomics.wait(sleeper, 0, 0, 5);
  return result;
}) as typeof process.stdout.write;
