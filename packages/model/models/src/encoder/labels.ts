import type { JsonObject } from '@graftjs/checkpoint';
import type { EncoderConfig, ProblemType } from '../architecture.ts';
import { ConfigError, count } from '../config-json.ts';

const problemTypes: readonly unknown[] = [
  'single_label_classification',
  'multi_label_classification',
  'regression',
] satisfies ProblemType[];

/** What `config.json` says of classes: two where it is silent, as in `transformers`. @throws ConfigError */
export function parseLabels(json: JsonObject): Pick<EncoderConfig, 'labels' | 'problemType'> {
  const problemType = json.problem_type ?? undefined;
  if (problemType !== undefined && !problemTypes.includes(problemType))
    throw new ConfigError('problem_type', `${JSON.stringify(problemType)} is not ${problemTypes.join(', ')}`);
  return { labels: labelsOf(json), problemType: problemType as ProblemType | undefined };
}

function labelsOf(json: JsonObject): string[] {
  const { id2label } = json;
  if (id2label == null) return Array.from({ length: count(json, 'num_labels', 2) }, (_, i) => `LABEL_${i}`);
  const names = typeof id2label === 'object' ? (id2label as Readonly<Record<string, unknown>>) : {};
  const labels = Object.keys(names).map((_, i) => names[i]);
  if (labels.length === 0 || !labels.every((label) => typeof label === 'string'))
    throw new ConfigError('id2label', 'is not an object of the names of classes 0, 1, …');
  return labels as string[];
}

/** Of a head that says where an answer begins and ends. @throws ConfigError */
export function checkSpanLabels<Config extends EncoderConfig>(config: Config): Config {
  if (config.labels.length === 2) return config;
  throw new ConfigError(
    'id2label',
    `names ${config.labels.length} classes, and a span has a start and an end`,
  );
}
