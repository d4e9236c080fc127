/**
 * Runs the matrix of tests of tuners' packages, and keeps what each cell said in `results/matrix.json`:
 *
 *     npx tsx --conditions=@graftjs/source tools/compare/matrix.ts            every package; minutes
 *     npx tsx --conditions=@graftjs/source tools/compare/matrix.ts ia3 vera   these anew
 *     npx tsx --conditions=@graftjs/source tools/compare/matrix.ts --report FILE   what a run of vitest said (--reporter=json)
 *     … --report FILE --add   of some cells only (-t): the others stay as they are
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { modelTypes, type TunerCell } from '@graftjs/tuner-tests';
import type { MatrixRow } from './matrix-row.ts';

interface Report {
  readonly testResults: readonly {
    /** The test file. */
    readonly name: string;
    readonly assertionResults: readonly {
      readonly ancestorTitles: readonly string[];
      readonly title: string;
      readonly status: string;
      readonly meta: { readonly tunerCell?: TunerCell };
    }[];
  }[];
}

const root = fileURLToPath(new URL('../..', import.meta.url));
const file = fileURLToPath(new URL('results/matrix.json', import.meta.url));

const tuners = readdirSync(join(root, 'packages/tuners')).filter(
  (name) => name !== 'peft' && name !== 'tuner-tests',
);
const { values, positionals } = parseArgs({
  options: { report: { type: 'string' }, add: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const whole = values.report && (JSON.parse(readFileSync(values.report, 'utf8')) as Report);
for (const name of positionals.length > 0 ? positionals : tuners) {
  const known = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as MatrixRow[]) : [];
  const found = rowsOf(name, whole ? partOf(whole, name) : run(name));
  const made = values.add ? added(known, found, name) : found;
  const kept = known.filter((row) => row.package !== name);
  const rows = [...kept, ...made].sort((a, b) =>
    a.package < b.package ? -1 : a.package > b.package ? 1 : 0,
  );
  mkdirSync(join(file, '..'), { recursive: true });
  writeFileSync(file, `${JSON.stringify(rows, null, 2)}\n`);
  const cells = made.flatMap((row) => Object.values(row.cells));
  console.log(`${name}: ${cells.filter((cell) => cell === 'passed').length} of ${cells.length} cells passed`);
}

/** A package's rows with the cells that a run found. */
function added(known: readonly MatrixRow[], found: readonly MatrixRow[], name: string): MatrixRow[] {
  const isSame = (a: MatrixRow, b: MatrixRow): boolean =>
    a.method === b.method && a.modelType === b.modelType;
  const old = known.filter((row) => row.package === name);
  return [
    ...old.map((row) => ({
      ...row,
      cells: { ...row.cells, ...found.find((each) => isSame(each, row))?.cells },
    })),
    ...found.filter((each) => !old.some((row) => isSame(row, each))),
  ];
}

/** What a run of many packages' tests said of one. */
function partOf(report: Report, name: string): Report {
  return { testResults: report.testResults.filter((each) => each.name.includes(`/tuners/${name}/`)) };
}

function run(name: string): Report {
  const output = join(mkdtempSync(join(tmpdir(), 'graft-matrix-')), 'report.json');
  const args = ['--project', 'node', `packages/tuners/${name}/`, '-t', ` on (${modelTypes.join('|')}) `];
  const reporter = ['--reporter=json', `--outputFile=${output}`];
  const { stderr } = spawnSync(join(root, 'node_modules/.bin/vitest'), ['run', ...args, ...reporter], {
    cwd: root,
  });
  if (!existsSync(output)) throw new Error(`${name}: vitest wrote no report: ${stderr}`);
  return JSON.parse(readFileSync(output, 'utf8')) as Report;
}

function rowsOf(name: string, report: Report): MatrixRow[] {
  const rows = new Map<string, MatrixRow>();
  for (const { ancestorTitles, title, status, meta } of report.testResults.flatMap(
    (each) => each.assertionResults,
  )) {
    const group = ancestorTitles.find((each) => modelTypes.some((type) => each.endsWith(` on ${type}`)));
    if (group === undefined || (status !== 'passed' && status !== 'failed')) continue;
    const [method, modelType] = group.split(/ on (?=\w+$)/) as [string, string];
    const known = rows.get(group);
    const { parameters, bytes, skip = {}, skipModels = {} } = meta.tunerCell ?? {};
    rows.set(group, {
      ...{ package: name, method, modelType },
      cells: { ...known?.cells, [title]: status },
      parameters: parameters ?? known?.parameters ?? null,
      bytes: bytes ?? known?.bytes ?? null,
      skip: { ...known?.skip, ...skip },
      skipModels: { ...known?.skipModels, ...skipModels },
    });
  }
  return [...rows.values()];
}
