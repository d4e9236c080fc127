/**
 * Both directions between Graft and Hugging Face PEFT, live, over random configurations of every method that both have:
 *
 *     npm run oracle                                     two configurations a method
 *     npm run oracle -- --methods lora,vera --configs 5 --seed 7 --python /path/to/python
 *
 * peft's adapters load here with the same logits; Graft's, trained for three steps, load there with no missing or
 * unexpected key and the same logits. One line a configuration; ends with 1 where something differs.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { MethodCatalog } from '@graftjs/cli';
import { Runtime } from '@graftjs/compiler';
import { PeftModel, tunerOf } from '@graftjs/peft';
import { openGpu } from '@graftjs/webgpu';
import { type Drawn, draw } from './draw.ts';
import { loadAndCompare, openBase, trainAndWrite } from './graft.ts';
import { findPython, type Job, type JobReport, runPython, whatToInstall } from './python.ts';

/** Of `peft_type`s that PEFT does not have, or that need what the tiny bases have not. */
const withoutPeft: Readonly<Record<string, string>> = {
  BITFIT: 'PEFT has no such method',
  FROD: 'PEFT reads adapters of others wrongly: it keeps a U that belongs to a V of its own; fixtures hold the way here',
  BOTTLENECK: "PEFT has no such method; adapterhub.py makes AdapterHub's fixtures",
};
const bases = ['llama-gqa-untied', 'qwen2', 'gpt2'];
const tolerance = 1e-4;

const { values } = parseArgs({
  options: {
    methods: { type: 'string' },
    configs: { type: 'string', default: '2' },
    seed: { type: 'string', default: '0' },
    python: { type: 'string' },
  },
});
const python = findPython(values.python ?? process.env.GRAFT_PYTHON);
if (python === undefined) {
  console.error(whatToInstall);
  process.exit(2);
}

const catalog = new MethodCatalog();
const all = await catalog.all();
const chosen = values.methods?.split(',') ?? all.map(({ name }) => name);
const gpu = await openGpu();
const runtime = new Runtime(gpu);
const root = mkdtempSync(join(tmpdir(), 'graft-oracle-'));
const jobs: Job[] = [];
const drawn = new Map<string, Drawn & { method: string }>();
const problems = new Map<string, string[]>();
const [written, loaded] = [new Map<string, number>(), new Map<string, number>()];
const blame = (dir: string, what: string): void =>
  void problems.set(dir, [...(problems.get(dir) ?? []), what]);

for (const [index, method] of (await Promise.all(chosen.map((name) => catalog.method(name)))).entries()) {
  const tuner = await tunerOf(method);
  const why = withoutPeft[tuner.peftType];
  if (why) {
    console.log(`- ${method.name}: ${why}`);
    continue;
  }
  for (let i = 0; i < Number(values.configs); i++) {
    const seed = 10_000 * Number(values.seed) + 100 * index + i;
    const base = fileURLToPath(new URL(`../fixtures/${bases[i % bases.length]}`, import.meta.url));
    const model = await openBase(base, runtime);
    const one = await draw(method, model, seed, async (config) => {
      const peft = new PeftModel(model, { runtime, tuners: [tuner] });
      await peft.addAdapter('trial', config);
      peft.unload();
    });
    const dir = join(root, `${method.name}-${i}`);
    drawn.set(dir, { ...one, method: method.name });
    jobs.push({ dir, base, peft_type: tuner.peftType, options: one.options, seed });
    await trainAndWrite(
      runtime,
      base,
      { tuner, config: one.config, learningRate: method.learningRate },
      seed,
      join(dir, 'graft'),
    );
  }
}
const note = (report: JobReport): void => {
  for (const problem of report.problems) blame(report.dir, problem);
};
await runPython(python, 'verify', jobs, (report) => {
  note({ ...report, problems: report.problems.map((problem) => `Graft's adapter there: ${problem}`) });
  if (typeof report.relative === 'number') written.set(report.dir, report.relative);
});
// A configuration that peft itself does not make, or not load again, compares nothing.
const refused = new Map<string, string>();
await runPython(python, 'make', jobs, ({ dir, problems: [problem] }) => {
  if (problem?.startsWith('ValueError')) refused.set(dir, problem);
  else if (problem) blame(dir, `peft makes none: ${problem}`);
});
for (const dir of refused.keys()) problems.delete(dir);
for (const { dir, base, peft_type } of jobs) {
  if (refused.has(dir) || problems.get(dir)?.some((problem) => problem.startsWith('peft makes none')))
    continue;
  try {
    const { method } = drawn.get(dir)!;
    const tuner = await tunerOf(await catalog.method(method));
    const relative = await loadAndCompare(runtime, base, tuner, dir);
    loaded.set(dir, relative);
    if (!(relative <= tolerance))
      blame(dir, `peft's adapter here: logits differ by ${relative.toExponential(2)}`);
  } catch (error) {
    blame(dir, `peft's adapter of ${peft_type} here: ${(error as Error).message}`);
  }
}
for (const { dir, base } of jobs) {
  const { method, options } = drawn.get(dir)!;
  const what = `${method} on ${base.split('/').at(-1)}`;
  if (refused.has(dir)) {
    console.log(`- ${what}: peft refuses ${JSON.stringify(options)}: ${refused.get(dir)}`);
    continue;
  }
  const shown = [loaded, written].map((by) => by.get(dir)?.toExponential(1) ?? '-').join(' and ');
  console.log(`${problems.has(dir) ? 'x' : '✓'} ${what}: ${shown} apart; ${JSON.stringify(options)}`);
  for (const problem of problems.get(dir) ?? []) console.log(`    ${problem}`);
}
const compared = jobs.length - refused.size;
console.log(`${compared - problems.size} of ${compared} configurations agree in both directions`);
gpu.close();
rmSync(root, { recursive: true, force: true });
process.exitCode = problems.size > 0 ? 1 : 0;
