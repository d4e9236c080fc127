import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { arch, cpus, platform, release, totalmem } from 'node:os';
import type { Runtime, TuningRecord } from '@graftjs/compiler';
import { HostRandom, normalArray } from '@graftjs/nn';
import { matmul, sum, Variable } from '@graftjs/tensor';
import { defineCommand } from 'citty';
import type { CommandData } from '../cli.ts';
import { commonFlags } from '../common-flags.ts';
import { numberFlag } from '../flag-values.ts';
import { bytes } from '../report/progress-line.ts';
import { deviceName, openRuntime } from '../run/device.ts';
import { readTuning, tune, tuningFile, writeTuning } from '../run/tuning.ts';

/** Side of the matrices whose product is timed, and how long it is repeated. */
const timedSize = 512;
const timedSeconds = 1;

export const doctor = defineCommand({
  meta: { name: 'graft doctor', description: 'Show the device, and whether it computes right and how fast' },
  args: {
    tune: {
      type: 'boolean',
      description: 'Measure which kernels are the fastest here; later trainings use what was found',
    },
    budget: {
      type: 'string',
      valueHint: '60',
      description: 'Seconds that measuring may take, compiling included',
    },
    ...commonFlags,
  },
  async run({ args, data }) {
    const { reporter } = data as CommandData;
    const seconds = numberFlag('budget', args.budget, 60, { least: 1 });
    const versions = {
      node: process.version,
      dawn: dawnVersion(),
      platform: `${platform()} ${release()} ${arch()}`,
    };
    reporter.report({
      event: 'note',
      message: `Node ${versions.node}, webgpu (Dawn) ${versions.dawn}, ${versions.platform}, ${cpus().length} cores, ${bytes(totalmem())} of memory`,
    });
    const runtime = await openRuntime();
    const { traits } = runtime.gpu;
    const relativeError = await checkProduct(runtime);
    // The error of one product of f32 numbers, summed over 33 terms.
    const correct = relativeError < 1e-5;
    const gflops = await timeProduct(runtime);
    const tuning = args.tune === true ? await tuned(runtime, reporter, seconds) : undefined;
    const text = [
      `device: ${deviceName(runtime)}${traits.isCpu ? ' (software: it runs on the processor)' : ''}`,
      `features: f16 ${yes(traits.hasF16)}, subgroups ${traits.subgroupSize || 'no'}, timestamps ${yes(traits.hasTimestamps)}`,
      `limits: buffer ${bytes(traits.maxBufferSize)}, binding ${bytes(traits.maxBindingSize)}, ${traits.maxStorageBuffers} storage buffers, ` +
        `${traits.maxInvocations} invocations, ${bytes(traits.maxWorkgroupStorage)} of workgroup memory`,
      `check: a matrix product is ${correct ? 'right' : 'WRONG'} (relative error ${relativeError.toExponential(1)})`,
      `speed: ${gflops.toFixed(1)} GFLOP/s in a ${timedSize}×${timedSize} product`,
      ...(tuning ? [`tuning: ${tuning.choices.length} classes of products, kept in ${tuningFile()}`] : []),
    ].join('\n');
    reporter.result(
      {
        ...versions,
        device: deviceName(runtime),
        traits,
        correct,
        relativeError,
        gflops,
        ...(tuning ? { tuning } : {}),
      },
      text,
    );
    runtime.gpu.close();
    if (!correct)
      throw new Error(
        `${deviceName(runtime)} multiplies matrices wrongly: update its driver, or use another device`,
      );
  },
});

/** Measures, says what was chosen and by how much, and keeps it. */
async function tuned(
  runtime: Runtime,
  reporter: CommandData['reporter'],
  seconds: number,
): Promise<TuningRecord> {
  const record = await tune(runtime, {
    record: await readTuning().catch(() => undefined),
    budget: 1000 * seconds,
    onMeasured: (choice) => {
      const chosen =
        choice.config === choice.default
          ? `${choice.default} stays`
          : `${choice.config}, ${choice.gain.toFixed(2)} times as fast as ${choice.default}`;
      reporter.report({ event: 'note', message: `${choice.problemClass}: ${chosen}` });
    },
  });
  await writeTuning(record);
  return record;
}

const yes = (value: boolean): string => (value ? 'yes' : 'no');

function dawnVersion(): string {
  try {
    const path = createRequire(import.meta.url).resolve('webgpu/package.json');
    return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version;
  } catch {
    return 'not found';
  }
}

/** The largest error of a ragged product against float64, relative to the largest element. */
async function checkProduct(runtime: Runtime): Promise<number> {
  const [m, k, n] = [17, 33, 21];
  const random = new HostRandom(1);
  const a = normalArray(m * k, 1, random);
  const b = normalArray(k * n, 1, random);
  const [got] = await runtime.evaluate([
    matmul(new Variable([m, k], a.slice()), new Variable([k, n], b.slice())),
  ]);
  let largest = 0;
  let error = 0;
  for (let i = 0; i < m; i++)
    for (let j = 0; j < n; j++) {
      let expected = 0;
      for (let l = 0; l < k; l++) expected += a[i * k + l]! * b[l * n + j]!;
      largest = Math.max(largest, Math.abs(expected));
      error = Math.max(error, Math.abs(expected - got![i * n + j]!));
    }
  return error / largest;
}

async function timeProduct(runtime: Runtime): Promise<number> {
  const random = new HostRandom(2);
  const square = (): Variable => new Variable([timedSize, timedSize], normalArray(timedSize ** 2, 1, random));
  const program = await runtime.compile({ outputs: [sum(matmul(square(), square()))] });
  await program.run();
  const start = performance.now();
  let runs = 0;
  for (; performance.now() - start < timedSeconds * 1000; runs++) await program.run();
  const seconds = (performance.now() - start) / 1000;
  return (2 * timedSize ** 3 * runs) / seconds / 1e9;
}
