import { openGpu } from '@graftjs/webgpu';
import type { Bench } from './bench.ts';
import { loraProgram, sizes } from './lora-program.ts';
import { interleave } from './measure.ts';
import type { Row } from './report.ts';

/**
 * JavaScript's part of a step: LoRA programs on Dawn's null backend, which takes commands and executes none. Processor
 * time of the whole process, so that garbage collection counts and other programs do not.
 */
export async function benchReplay({ rounds }: Bench): Promise<Row[]> {
  const gpu = await openGpu({ backend: 'null' });
  const candidates = [];
  const dispatches = new Map<string, number>();
  for (const size of sizes) {
    const { program } = await loraProgram(gpu, size, { outputs: false });
    dispatches.set(size.name, program.explain().dispatches);
    candidates.push({
      name: size.name,
      run: async (times: number) => {
        const before = process.cpuUsage();
        for (let i = 0; i < times; i++) void program.run();
        const { user, system } = process.cpuUsage(before);
        await gpu.idle();
        return (user + system) / 1000;
      },
    });
  }
  const timings = await interleave(candidates, rounds);
  gpu.close();
  return [...timings].map(([name, { median, least }]) => ({
    group: 'replay',
    name,
    dispatches: dispatches.get(name)!,
    microsecondsPerDispatch: (median / dispatches.get(name)!) * 1000,
    leastMicroseconds: (least / dispatches.get(name)!) * 1000,
    rounds,
  }));
}
