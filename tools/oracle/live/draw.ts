import { HostRandom, Linear, type Module } from '@graftjs/nn';
import { type AdapterConfig, type ConfigField, type Method, PeftError } from '@graftjs/peft';

/** A configuration of a method that was drawn. */
export interface Drawn {
  /** By their names in `adapter_config.json`; what is not here has its default. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly config: AdapterConfig;
}

/** Keys that are drawn otherwise, or whose values only say where files come from. */
const fixed = new Set([
  ...['taskType', 'baseModelNameOrPath', 'revision', 'autoMapping', 'inferenceMode', 'peftVersion'],
  ...['tokenizerNameOrPath', 'targetModules', 'excludeModules', 'modulesToSave', 'fanInFanOut'],
  ...['layersToTransform', 'layersPattern', 'totalStep', 'tinit', 'tfinal', 'deltaT', 'numVirtualTokens'],
  ...['numTransformerSubmodules', 'promptTuningInit', 'numTasks', 'adapterLayers'],
]);

/**
 * A random configuration that the method takes: ranks and sizes, factors, switches and choices, and which linear layers.
 * @param attempt whether the method takes it on the model; others are drawn again
 * @throws Error where none of 60 is taken
 */
export async function draw(
  method: Method,
  model: Module,
  seed: number,
  attempt: (config: AdapterConfig) => Promise<void>,
): Promise<Drawn> {
  const random = new HostRandom(seed);
  const below = (n: number): number => Math.floor(random.uniform() * n);
  const pick = <T>(from: readonly T[]): T => from[below(from.length)]!;
  const run = { model, totalSteps: 10 };
  let last: unknown;
  for (let round = 0; round < 60; round++) {
    const drawn: Record<string, unknown> = {};
    for (const [name, field] of Object.entries(method.schema))
      if (!fixed.has(name) && field.unsupported === undefined && below(2) === 0) {
        const value = randomValue(field, pick);
        if (value !== undefined) drawn[name] = value;
      }
    if (method.schema.targetModules?.accepts(['a']) && below(3) > 0)
      drawn.targetModules = [...new Set([pick(linearNames(model)), pick(linearNames(model))])];
    const given = { ...method.defaults, ...drawn };
    const options: Record<string, unknown> = { ...method.fit?.(run, given), ...given, taskType: 'CAUSAL_LM' };
    // text and vocabulary need a tokenizer, which the tiny bases have none of
    if ('promptTuningInit' in method.schema) options.promptTuningInit = 'RANDOM';
    try {
      const config = method.config(options);
      await attempt(config);
      const named = Object.entries(options).map(([name, value]) => [method.schema[name]!.key, value]);
      return { options: Object.fromEntries(named), config };
    } catch (error) {
      if (!(error instanceof PeftError)) throw error;
      last = error;
    }
  }
  throw new Error(`${method.name}: of 60 configurations none is taken: ${String(last)}`);
}

function randomValue({ accepts, initial, float }: ConfigField, pick: <T>(from: readonly T[]) => T): unknown {
  const choices = (values: readonly unknown[]): unknown => {
    const taken = values.filter(accepts);
    return taken.length > 0 ? pick(taken) : undefined;
  };
  if (typeof initial === 'boolean') return choices([true, false]);
  if (typeof initial !== 'number') return undefined;
  // a chance of dropout has no effect where nothing is trained
  if (float && accepts(0.5) && !accepts(1.5)) return undefined;
  if (float || accepts(initial + 0.5)) return choices([initial, initial * 0.5, initial * 1.5]);
  return choices([1, 2, 3, 4, 6, 8]);
}

const linearNames = (model: Module): string[] => {
  const { outputEmbeddings } = model as { outputEmbeddings?: unknown };
  const names = [...model.namedModules()].flatMap(([path, module]) =>
    module instanceof Linear && module !== outputEmbeddings ? [path.split('.').at(-1)!] : [],
  );
  return [...new Set(names)];
};
