/** Saves checkpoints into the folder given as argument until it is killed; prints each step once it stands. */
import { nodeFolder } from '../src/node.ts';
import { latestValidCheckpoint, writeCheckpoint } from '../src/training-checkpoint.ts';

const folder = nodeFolder(process.argv[2]!);
const first = ((await latestValidCheckpoint(folder)).checkpoint?.step ?? 0) + 1;
process.stdout.write('ready\n');
for (let step = first; ; step++) {
  const files = {
    'adapter_model.safetensors': new Uint8Array(300_000).fill(step),
    'optimizer.safetensors': [new Uint8Array(200_000).fill(step), new Uint8Array(400_000).fill(step + 1)],
    'trainer_state.json': new TextEncoder().encode(JSON.stringify({ step })),
  };
  // Every third step is saved twice, so that replacing is interrupted too.
  for (let times = step % 3 === 0 ? 2 : 1; times > 0; times--)
    await writeCheckpoint(folder, step, files, { keep: 2 });
  process.stdout.write(`${step}\n`);
}
