/** Tries to write 1 MB to `x` in the folder given as argument, and prints the error as JSON. */
import { nodeFolder } from '../src/node.ts';

nodeFolder(process.argv[2]!)
  .writeAtomic('x', new Uint8Array(1_000_000))
  .then(
    () => console.log('{}'),
    (error: Error & { code?: string; file?: string }) =>
      console.log(JSON.stringify({ name: error.name, code: error.code, file: error.file })),
  );
