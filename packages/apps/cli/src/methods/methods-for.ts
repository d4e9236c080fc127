import type { JsonObject } from '@graftjs/checkpoint';
import { PlanningRuntime } from '@graftjs/compiler';
import { type PretrainedModel, parseConfig } from '@graftjs/models';
import { type Method, PeftError, PeftModel, tunerOf } from '@graftjs/peft';
import { leastTraits } from '@graftjs/webgpu';
import type { TaskType } from '../config/schema.ts';
import { taskFor } from '../tasks/tasks.ts';
import type { MethodCatalog } from './catalog.ts';
import { methodConfig } from './method-config.ts';

/** What a method with its defaults would train of a model. */
export interface MethodFit {
  readonly name: string;
  readonly about: string;
  readonly paper: string;
  readonly package: string | null;
  readonly learningRate: number;
  readonly applies: boolean;
  /** Why it does not apply. */
  readonly reason: string | null;
  readonly parameters: number | null;
  /** Of the base's parameters. */
  readonly share: number | null;
  /** Of what is trained, in f32. */
  readonly bytes: number | null;
}

/** So many steps a training is thought to have. */
const totalSteps = 1000;

/** What each method would train of the model of a config.json; no weights are needed. */
export async function methodsFor(
  methods: readonly Method[],
  json: JsonObject,
  catalog: MethodCatalog,
  asked?: TaskType,
): Promise<{ modelType: string; parameters: number; methods: MethodFit[] }> {
  const task = taskFor(json, asked);
  const { architectures } = task;
  const config = parseConfig(json, { architectures });
  const build = (): PretrainedModel =>
    architectures.find(({ modelTypes }) => modelTypes.includes(config.modelType))!.build(config);
  const all = [...new Set(build().parameters())].reduce((sum, { size }) => sum + size, 0);
  const fits: MethodFit[] = [];
  for (const method of methods) {
    const { name, about, paper, learningRate } = method;
    const common = { name, about, paper, package: catalog.packageOf(name) ?? null, learningRate };
    try {
      const trained = await trainedBy(method, build(), task.type);
      const parameters = trained.reduce((sum, { size }) => sum + size, 0);
      const bytes = trained.reduce((sum, { byteLength }) => sum + byteLength, 0);
      fits.push({ ...common, applies: true, reason: null, parameters, share: parameters / all, bytes });
    } catch (error) {
      if (!(error instanceof PeftError)) throw error;
      const none = { parameters: null, share: null, bytes: null };
      fits.push({ ...common, applies: false, reason: error.message, ...none });
    }
  }
  return { modelType: config.modelType, parameters: all, methods: fits };
}

/** @throws PeftError where the method does not apply */
async function trainedBy(method: Method, model: PretrainedModel, taskType: TaskType) {
  const tuner = await tunerOf(method);
  const peft = new PeftModel(model, { runtime: new PlanningRuntime(leastTraits), tuners: [tuner] });
  await peft.addAdapter(
    'default',
    methodConfig(method, {}, { baseModel: 'base', taskType, run: { model, totalSteps } }),
  );
  return [...peft.trainableParameters().values()];
}
