import type { CollateOptions, Example, Tokenizer } from '@graftjs/data';
import type { Architecture, PretrainedModel } from '@graftjs/models';
import type { LossSum } from '@graftjs/trainer';
import type { Config, TaskType } from '../config/schema.ts';

/** What the model can take. */
export interface ModelLimits {
  readonly vocabSize: number;
  readonly maxPositions: number;
}

/** A file of examples, and how it is read. */
export interface DataFile {
  readonly path: string;
  readonly config: Config;
  readonly tokenizer: Tokenizer;
  readonly limits: ModelLimits;
  /** Most tokens of what the model reads. */
  readonly maxLength: number;
}

export interface FileExamples {
  readonly examples: Example[];
  /** What a person should know of what became of the data; one sentence each. */
  readonly notes: readonly string[];
}

/** What a model is trained for: its head, the data that it learns from, and its loss. */
export interface Task {
  readonly type: TaskType;
  /** Those that have its head. */
  readonly architectures: readonly Architecture<PretrainedModel>[];
  /** Keys of a configuration that it has no use for, and why; one that is given is refused. */
  readonly refused: readonly {
    readonly path: string;
    readonly given: (config: Config) => boolean;
    readonly why: string;
  }[];
  /** @throws DataError, ChatTemplateError, VocabularyError */
  readonly read: (file: DataFile) => Promise<FileExamples>;
  /** How its examples become batches, beside padding. */
  readonly collate: (config: Config, maxLength: number) => CollateOptions;
  readonly lossSum: (model: PretrainedModel) => LossSum;
  /** How many labels are the likeliest: where the share of right answers says something. */
  readonly correctSum?: (model: PretrainedModel) => LossSum;
}
