import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { groups } from './groups.ts';
import { type Row, table } from './report.ts';
import { replaceSections } from './sections.ts';
import { texts } from './texts.ts';

/** Under what figures were measured. */
export interface Conditions {
  readonly command: string;
  readonly date: string;
  readonly adapter: string;
  readonly processor: string;
  readonly node: string;
  /** Versions by name. */
  readonly peers: Readonly<Record<string, string>>;
  /** Why libraries that were asked for were not measured. */
  readonly missing: Readonly<Record<string, string>>;
  /** Processes that wanted to run in the minute before the first measurement. */
  readonly load: number;
}

const file = fileURLToPath(new URL('../../docs/benchmarks.md', import.meta.url));

/** Replaces the sections of the groups that were measured in docs/benchmarks.md; the rest stays. */
export function writeDocument(rows: readonly Row[], conditions: Conditions): void {
  const sections = new Map(
    [...new Set(rows.map(({ group }) => group))].map((group) => [
      group,
      section(
        group,
        rows.filter((row) => row.group === group),
        conditions,
      ),
    ]),
  );
  writeFileSync(file, replaceSections(readFileSync(file, 'utf8'), sections, Object.keys(groups)));
}

function section(group: string, rows: readonly Row[], conditions: Conditions): string {
  const [title, text] = texts[group]!;
  return [`## ${title}`, text, table(rows), under(rows, conditions)].join('\n\n');
}

/** One paragraph: when, where, beside what, and how busy the machine was. */
function under(rows: readonly Row[], conditions: Conditions): string {
  const { command, date, adapter, processor, node, load } = conditions;
  const columns = new Set(rows.flatMap((row) => Object.keys(row)));
  const peers = Object.entries(conditions.peers).filter(([name]) => columns.has(name));
  const missing = Object.entries(conditions.missing);
  const parts = [`\`${command}\` on ${date}: ${adapter}, ${processor}, Node ${node.slice(1)}.`];
  if (peers.length > 0)
    parts.push(`Beside ${peers.map(([name, version]) => `${name} ${version}`).join(', ')}.`);
  if (missing.length > 0 && peers.length > 0)
    parts.push(`Not measured: ${missing.map(([name, reason]) => `${name} (${reason})`).join(', ')}.`);
  if (load > cpus().length / 2)
    parts.push(
      `**The machine was shared**: ${load.toFixed(1)} programs wanted its ${cpus().length} cores when the run began; times are upper bounds.`,
    );
  return parts.join(' ');
}
