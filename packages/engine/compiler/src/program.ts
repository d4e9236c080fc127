import type { HostArray, TensorSpec, Variable } from '@graftjs/tensor';
import { hostView } from '@graftjs/tensor';
import type { GpuBuffer } from '@graftjs/webgpu';
import { type Explanation, explain } from './explain.ts';
import type { Place, Plan } from './plan.ts';
import type { Runtime } from './runtime.ts';

/** The pipelines of a plan's steps, compiled once and shared by every program of that plan. */
export interface CompiledPlan extends Plan {
  readonly pipelines: readonly GPUComputePipeline[];
  readonly params: GpuBuffer | undefined;
  readonly paramOffsets: readonly number[];
}

/** A plan with the variables it reads and writes: run it as often as you like. */
export class Program {
  readonly plan: CompiledPlan;
  readonly variables: readonly Variable[];
  readonly outputSpecs: readonly TensorSpec[];
  readonly #runtime: Runtime;
  #groups: GPUBindGroup[] = [];
  #arenaVersion = -1;

  constructor(
    runtime: Runtime,
    plan: CompiledPlan,
    variables: readonly Variable[],
    outputSpecs: readonly TensorSpec[],
  ) {
    this.#runtime = runtime;
    this.plan = plan;
    this.variables = variables;
    this.outputSpecs = outputSpecs;
  }

  /** What a run costs: dispatches, bytes, floating-point operations. Known before anything runs. */
  explain(): Explanation {
    return explain(this.plan, this.variables);
  }

  /**
   * Runs once: uploads the variables that the host has set since, replays the dispatches in one submission, and
   * gives the outputs when the device has them. Nothing waits unless the result is awaited.
   */
  run(): Promise<HostArray[]> {
    const gpu = this.#runtime.gpu;
    this.#prepare();
    const { steps, pipelines, copies, outputs } = this.plan;
    this.#runtime.beforeRun();
    const arrivals: (() => Promise<ArrayBuffer>)[] = [];
    gpu.submit((encoder) => {
      if (steps.length > 0) {
        const pass = encoder.beginComputePass();
        let current: GPUComputePipeline | undefined;
        for (let i = 0; i < steps.length; i++) {
          const pipeline = pipelines[i]!;
          if (pipeline !== current) pass.setPipeline(pipeline);
          current = pipeline;
          pass.setBindGroup(0, this.#groups[i]!);
          const [x, y, z] = steps[i]!.workgroups;
          pass.dispatchWorkgroups(x, y, z);
        }
        pass.end();
      }
      for (const place of outputs) {
        const { buffer, offset } = this.#locate(place);
        arrivals.push(gpu.readWithin(encoder, buffer, offset, place.byteLength));
      }
      for (const { from, to } of copies) {
        const source = this.#locate(from);
        const target = this.#runtime.placeOf(this.variables[to]!);
        encoder.copyBufferToBuffer(
          source.buffer.handle,
          source.offset,
          target.buffer.handle,
          target.offset,
          Math.ceil(from.byteLength / 4) * 4,
        );
      }
    });
    return Promise.all(
      arrivals.map(async (arrive, i) => hostView(this.outputSpecs[i]!.dtype, await arrive())),
    );
  }

  /** Runs each step alone and gives its wall-clock milliseconds: where the time goes. Slow; for tuning. */
  async profile(): Promise<{ label: string; milliseconds: number; flops: number }[]> {
    const gpu = this.#runtime.gpu;
    this.#prepare();
    const times: { label: string; milliseconds: number; flops: number }[] = [];
    await gpu.idle();
    for (let i = 0; i < this.plan.steps.length; i++) {
      const step = this.plan.steps[i]!;
      const start = performance.now();
      gpu.submit((encoder) => {
        const pass = encoder.beginComputePass();
        pass.setPipeline(this.plan.pipelines[i]!);
        pass.setBindGroup(0, this.#groups[i]!);
        const [x, y, z] = step.workgroups;
        pass.dispatchWorkgroups(x, y, z);
        pass.end();
      });
      await gpu.idle();
      times.push({ label: step.label, milliseconds: performance.now() - start, flops: step.flops });
    }
    return times;
  }

  #locate(place: Place): { buffer: GpuBuffer; offset: number } {
    if ('variable' in place) return this.#runtime.placeOf(this.variables[place.variable]!);
    if ('pack' in place) return this.#runtime.placeOf(this.variables[this.plan.packs[place.pack]![0]!]!);
    return { buffer: this.#runtime.arena.buffer, offset: place.offset };
  }

  /** Memory, values and bindings for a run. */
  #prepare(): void {
    if (this.#arenaVersion !== this.#runtime.arena.version)
      for (const slots of this.plan.packs) this.#runtime.pack(slots.map((slot) => this.variables[slot]!));
    for (const variable of this.variables) this.#runtime.upload(variable);
    this.#bind();
  }

  /** Bind groups are made once, and again only when the arena that all programs share has grown. */
  #bind(): void {
    const { plan } = this;
    const { arena, gpu } = this.#runtime;
    if (plan.arenaBytes > 0) this.#runtime.reserve(plan.arenaBytes);
    if (this.#arenaVersion === arena.version) return;
    this.#arenaVersion = arena.version;
    this.#groups = plan.steps.map((step, i) => {
      const slices = step.places.map((place) => {
        const { buffer, offset } = this.#locate(place);
        return { buffer, offset, byteLength: Math.ceil(place.byteLength / 16) * 16 };
      });
      if (step.params)
        slices.push({
          buffer: plan.params!,
          offset: plan.paramOffsets[i]!,
          byteLength: Math.ceil(step.params.byteLength / 16) * 16,
        });
      return gpu.bindGroup(plan.pipelines[i]!, slices);
    });
  }
}
