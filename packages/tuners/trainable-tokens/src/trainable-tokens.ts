import type { Runtime } from '@graftjs/compiler';
import { Embedding, Linear, type Module, type Parameter } from '@graftjs/nn';
import {
  type AdapterState,
  type AttachContext,
  type AttachedAdapter,
  BASE_PREFIX,
  ConfigError,
  type ConfigField,
  type ConfigOf,
  commonFields,
  configToJson,
  field,
  findTargets,
  floatKeys,
  makeConfig,
  parseConfig,
  readParameters,
  type StateReport,
  TargetError,
  type Tuner,
  writeParameters,
} from '@graftjs/peft';
import { TokenRows } from './token-rows.ts';

const isTokens = (value: unknown): boolean =>
  Array.isArray(value) && value.every((id) => Number.isSafeInteger(id) && id >= 0);

/** Every key of PEFT's `TrainableTokensConfig` with its default. */
export const trainableTokensSchema = {
  ...commonFields,
  /** Ids of the tokens whose rows are trained. */
  tokenIndices: {
    key: 'token_indices',
    initial: [],
    expects: 'a list of token ids',
    accepts: isTokens,
  } as ConfigField<readonly number[]>,
  /** Embeddings, or heads; null for the model's input embeddings. */
  targetModules: field.names('target_modules'),
  /** Rows start as those of the table; else standard normal. */
  initWeights: field.boolean('init_weights', true),
} as const;

export type TrainableTokensConfig = ConfigOf<typeof trainableTokensSchema> & {
  readonly peftType: 'TRAINABLE_TOKENS';
};

const checked = (values: ConfigOf<typeof trainableTokensSchema>): TrainableTokensConfig => {
  if (values.tokenIndices.length === 0)
    throw new ConfigError('token_indices', values.tokenIndices, 'must name at least one token');
  return { ...values, peftType: 'TRAINABLE_TOKENS' };
};

/** A config with PEFT's defaults and what `options` say. @throws ConfigError */
export const trainableTokensConfig = (
  options: Partial<ConfigOf<typeof trainableTokensSchema>>,
): TrainableTokensConfig => checked(makeConfig(trainableTokensSchema, options));

/** Trainable rows of token embeddings, as a method of its own. */
export const trainableTokens: Tuner<TrainableTokensConfig> = {
  peftType: 'TRAINABLE_TOKENS',
  floatKeys: floatKeys(trainableTokensSchema),
  parseConfig: (json) => {
    const { config, unknownKeys } = parseConfig(trainableTokensSchema, json);
    return { config: checked(config), unknownKeys };
  },
  configToJson: (config) => configToJson(trainableTokensSchema, config),
  attach,
};

async function attach(
  model: Module,
  config: TrainableTokensConfig,
  context: AttachContext,
): Promise<TokensAdapter> {
  const asked = config.targetModules ?? inputEmbeddingsPath(model);
  const { modules, warnings } = findTargets(
    model,
    { targetModules: asked },
    {
      supports: (module) => module instanceof Embedding || module instanceof Linear,
      kind: 'trainable tokens are rows of embeddings and heads',
      modelType: context.modelType,
      outputHead: context.outputHead,
      defaults: {},
    },
  );
  const rows = [...modules].map(
    ([path, module]) =>
      new TokenRows(model, module as Embedding | Linear, {
        path,
        indices: config.tokenIndices,
        fromTable: config.initWeights,
        random: context.random,
        key: 'token_indices',
      }),
  );
  const updates = context.loading ? [] : rows.flatMap((one) => one.initialValues());
  if (updates.length > 0) await (await context.runtime.compile({ updates })).run();
  return new TokensAdapter(rows, { ...config, targetModules: asked }, context.adapterName, warnings);
}

/** @throws TargetError where the model names none */
function inputEmbeddingsPath(model: Module): string {
  const { inputEmbeddings } = model as { inputEmbeddings?: unknown };
  const path = [...model.namedModules()].find(([, module]) => module === inputEmbeddings)?.[0];
  if (path !== undefined) return path;
  throw new TargetError('the model names no input embeddings: say target_modules', {
    asked: null,
    available: [],
  });
}

class TokensAdapter implements AttachedAdapter<TrainableTokensConfig> {
  readonly config: TrainableTokensConfig;
  readonly warnings: readonly string[];
  readonly #rows: readonly TokenRows[];
  readonly #name: string;
  readonly #key: string;

  constructor(
    rows: readonly TokenRows[],
    config: TrainableTokensConfig,
    adapterName: string,
    warnings: readonly string[],
  ) {
    this.#rows = rows;
    this.config = config;
    this.warnings = warnings;
    this.#name = adapterName;
    this.#key = `trainable tokens ${adapterName}`;
  }

  get targets(): readonly string[] {
    return this.#rows.map(({ path }) => path);
  }

  *namedParameters(): Generator<[string, Parameter]> {
    for (const { path, delta } of this.#rows)
      yield [`${BASE_PREFIX}${path}.trainable_tokens_delta.${this.#name}`, delta];
  }

  toStateDict(runtime: Runtime): Promise<AdapterState> {
    return readParameters(runtime, this.#onDisk());
  }

  fromStateDict(state: AdapterState): StateReport {
    return writeParameters(`adapter ${this.#name}`, new Map(this.#onDisk()), state);
  }

  setActive(active: boolean): void {
    for (const rows of this.#rows) {
      rows.detach(this.#key);
      if (active) rows.attach(this.#key);
    }
  }

  async merge(runtime: Runtime, { safe }: { readonly safe: boolean }): Promise<void> {
    if (safe) for (const rows of this.#rows) await rows.check(runtime, this.#name);
    for (const rows of this.#rows) await rows.merge(runtime);
  }

  async unmerge(runtime: Runtime): Promise<void> {
    for (const rows of this.#rows) await rows.unmerge(runtime);
  }

  detach(): void {
    this.setActive(false);
  }

  *#onDisk(): Generator<[string, Parameter]> {
    // PEFT writes the rows for each module that has them.
    for (const { path, tied, delta } of this.#rows)
      for (const place of [path, ...tied]) yield [`${BASE_PREFIX}${place}.trainable_tokens_delta`, delta];
  }
}
