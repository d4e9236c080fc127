import {
  type HostArray,
  hostView,
  isVariable,
  type KernelTraits,
  type Tensor,
  Variable,
} from '@graftjs/tensor';
import type { DeviceTraits, Gpu, GpuBuffer } from '@graftjs/webgpu';
import type { Plan } from './plan.ts';
import { lowerRequest, type ProgramRequest } from './plan-request.ts';
import { type CompiledPlan, Program } from './program.ts';
import type { Tuner } from './tuner.ts';
import { VariableMemory, type VariablePlace } from './variable-memory.ts';

export interface RuntimeOptions {
  /** `false` runs composites by their decompositions. For tests and comparisons. */
  readonly kernels?: boolean;
  /** Fills the memory of temporaries with NaN before each run, so that a read of unwritten memory shows. For tests. */
  readonly poison?: boolean;
  /** Chooses kernels as if the device had other traits. For tests: every variant runs on one device. */
  readonly traits?: Partial<DeviceTraits>;
  /** Measures the fastest configurations of kernels when a program is made. Left out: chosen by the device's traits. */
  readonly tuner?: Tuner;
  /** Told how many kernels are compiled so far, while a program is being made. */
  readonly onCompile?: (done: number, total: number) => void;
}

/** Runs tensor graphs on a device. One runtime owns the device copies of variables and the memory of temporaries. */
export class Runtime {
  readonly gpu: Gpu;
  readonly options: RuntimeOptions;
  /** `version` counts the changes of what lies where, here and among variables. */
  readonly arena: { buffer: GpuBuffer; byteLength: number; version: number };
  /** What kernels are chosen by. */
  readonly traits: DeviceTraits & KernelTraits;
  readonly #plans = new Map<string, Promise<CompiledPlan>>();
  readonly #memory: VariableMemory;

  constructor(gpu: Gpu, options: RuntimeOptions = {}) {
    this.gpu = gpu;
    this.options = options;
    const { traits, tuner } = options;
    this.traits = { ...gpu.traits, ...traits, ...(tuner ? { measured: tuner } : {}) };
    this.arena = { buffer: gpu.buffers.create(16, 'arena'), byteLength: 16, version: 0 };
    this.#memory = new VariableMemory(gpu);
  }

  /**
   * A program that computes `outputs` and the next values of `updates`. Plans are cached by the structure of the
   * graph: the same graph over other variables compiles nothing.
   */
  async compile(request: ProgramRequest): Promise<Program> {
    const { key, variables, makePlan } = lowerRequest(request, this.traits, this.options);
    let plan = this.#plans.get(key);
    if (!plan) {
      plan = this.#tuned(makePlan).then((made) => this.#compilePlan(made));
      this.#plans.set(key, plan);
      plan.catch(() => this.#plans.delete(key));
    }
    const outputs = request.outputs ?? [];
    return new Program(
      this,
      await plan,
      variables,
      outputs.map((t) => t.spec),
    );
  }

  /** The values of tensors. */
  async evaluate(tensors: readonly Tensor[]): Promise<HostArray[]> {
    const program = await this.compile({ outputs: tensors });
    return program.run();
  }

  /** The value of a variable as the device has it now. */
  async read(variable: Variable): Promise<HostArray> {
    const tensor: Tensor = variable;
    if (!isVariable(tensor)) return (await this.evaluate([tensor]))[0]!;
    this.upload(variable);
    const { buffer, offset } = this.placeOf(variable);
    return hostView(variable.dtype, await this.gpu.read(buffer, offset, variable.byteLength));
  }

  /** A variable that holds the value of `tensor`. */
  async materialize(tensor: Tensor, name = 'value'): Promise<Variable> {
    if (isVariable(tensor)) return tensor;
    const variable = new Variable(tensor.shape, undefined, { dtype: tensor.dtype, name });
    const program = await this.compile({ updates: [[variable, tensor]] });
    await program.run();
    return variable;
  }

  /** Frees a variable's device memory now; a later use starts it at zero, or at what the host sets. */
  release(variable: Variable): void {
    if (this.#memory.release(variable)) this.arena.version++;
  }

  /** Where a variable lies on the device. */
  placeOf(variable: Variable): VariablePlace {
    return this.#memory.placeOf(variable);
  }

  /** Puts variables one after another in one memory: see `packOffsets`. */
  pack(variables: readonly Variable[]): void {
    if (this.#memory.pack(variables)) this.arena.version++;
  }

  /** Hands what the host has set to the device. */
  upload(variable: Variable): void {
    const { buffer, offset } = this.placeOf(variable);
    const data = variable.takePending();
    if (!data) return;
    const whole = data.byteLength % 4 === 0 ? data : new Uint8Array(Math.ceil(data.byteLength / 4) * 4);
    if (whole !== data)
      (whole as Uint8Array).set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    this.gpu.write(buffer, offset, whole);
  }

  /** Makes the arena at least this large. */
  reserve(byteLength: number): void {
    if (this.arena.byteLength >= byteLength) return;
    this.gpu.buffers.release(this.arena.buffer);
    this.arena.buffer = this.gpu.buffers.create(byteLength, 'arena');
    this.arena.byteLength = byteLength;
    this.arena.version++;
  }

  /** Before each run. */
  beforeRun(): void {
    if (!this.options.poison) return;
    const words = new Uint32Array(Math.ceil(this.arena.byteLength / 4)).fill(0x7fc0dead);
    this.gpu.write(this.arena.buffer, 0, words);
  }

  /** A plan made with what is measured of its kernels. */
  async #tuned(makePlan: () => Plan): Promise<Plan> {
    const plan = makePlan();
    return (await this.options.tuner?.measure()) ? makePlan() : plan;
  }

  async #compilePlan(plan: Plan): Promise<CompiledPlan> {
    const align = (n: number): number =>
      Math.ceil(n / this.gpu.traits.uniformAlignment) * this.gpu.traits.uniformAlignment;
    let total = 0;
    const paramOffsets = plan.steps.map((step) => {
      const at = total;
      if (step.params) total += align(Math.max(step.params.byteLength, 16));
      return at;
    });
    let params: GpuBuffer | undefined;
    if (total > 0) {
      params = this.gpu.buffers.uniform(total, 'shapes');
      const words = new Uint32Array(total / 4);
      plan.steps.forEach((step, i) => {
        if (step.params) words.set(step.params, paramOffsets[i]! / 4);
      });
      this.gpu.write(params, 0, words);
    }
    const texts = new Set(plan.steps.map((s) => s.wgsl)).size;
    const seen = new Set<string>();
    const pipelines = await Promise.all(
      plan.steps.map(async (step) => {
        const pipeline = await this.gpu.pipeline(step.wgsl, step.label, {
          storage: step.places.length,
          uniform: step.params !== undefined,
        });
        if (!seen.has(step.wgsl)) this.options.onCompile?.(seen.add(step.wgsl).size, texts);
        return pipeline;
      }),
    );
    return { ...plan, pipelines, params, paramOffsets };
  }
}
