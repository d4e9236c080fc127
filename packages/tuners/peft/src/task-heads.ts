import type { AdapterConfig } from './config.ts';

const names = { classifier: ['classifier', 'score'], span: ['qa_outputs'] } as const;

/** Modules that are trained whole beside an adapter for a task, where the model has them; as PEFT 0.21.2 names them. */
const headsOf: Readonly<Record<string, readonly string[]>> = {
  SEQ_CLS: names.classifier,
  TOKEN_CLS: names.classifier,
  QUESTION_ANS: names.span,
};

/** The names of a task's heads. */
export const taskHeads = ({ taskType }: Pick<AdapterConfig, 'taskType'>): readonly string[] =>
  headsOf[taskType ?? ''] ?? [];

/** A config whose `modules_to_save` name the heads of its task, too. */
export function withTaskHeads<C extends AdapterConfig>(config: C): C {
  const heads = taskHeads(config);
  if (heads.length === 0 || !('modulesToSave' in config)) return config;
  return { ...config, modulesToSave: [...new Set([...(config.modulesToSave ?? []), ...heads])] };
}
