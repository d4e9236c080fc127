import { shaderStageCompute } from './constants.ts';
import { LimitError, ShaderError } from './errors.ts';
import type { Lifetime } from './lifetime.ts';
import type { Wait } from './timeline.ts';
import type { DeviceTraits } from './traits.ts';

/**
 * What a kernel binds, all of it in group 0: `@binding(i) var<storage, read_write>` for i = 0 … storage-1, then
 * `@binding(storage) var<uniform>` where it has one.
 *
 * Every storage binding is read_write, because temporaries share one buffer and WebGPU refuses a dispatch that
 * binds one buffer both ways.
 */
export interface KernelLayout {
  /** Number of storage bindings. */
  readonly storage: number;
  /** Default false. `'dynamic'`: its offset is given by `setBindGroup(0, group, [offset])`. */
  readonly uniform?: boolean | 'dynamic';
}

/** Compiled kernels, by their text. */
export class PipelineCache {
  readonly #device: GPUDevice;
  readonly #traits: DeviceTraits;
  readonly #lifetime: Lifetime;
  readonly #wait: Wait;
  readonly #layouts = new Map<string, GPUPipelineLayout>();
  readonly #pipelines = new Map<string, Promise<GPUComputePipeline>>();

  constructor(device: GPUDevice, traits: DeviceTraits, lifetime: Lifetime, wait: Wait) {
    this.#device = device;
    this.#traits = traits;
    this.#lifetime = lifetime;
    this.#wait = wait;
  }

  get size(): number {
    return this.#pipelines.size;
  }

  get(wgsl: string, label: string, layout: KernelLayout): Promise<GPUComputePipeline> {
    const shape = `${layout.storage}/${layout.uniform ?? false}`;
    const key = `${shape}\n${wgsl}`;
    const known = this.#pipelines.get(key);
    if (known) return known;
    const made = this.#compile(wgsl, label, layout, shape);
    this.#pipelines.set(key, made);
    made.catch(() => this.#pipelines.delete(key));
    return made;
  }

  async #compile(
    wgsl: string,
    label: string,
    layout: KernelLayout,
    shape: string,
  ): Promise<GPUComputePipeline> {
    const device = this.#device;
    const { maxStorageBuffers } = this.#traits;
    if (layout.storage > maxStorageBuffers)
      throw new LimitError(
        'maxStorageBuffersPerShaderStage',
        layout.storage,
        maxStorageBuffers,
        `Kernel '${label}'`,
      );
    // The scope takes the module's own error, which says no more than the compilation info does.
    device.pushErrorScope('validation');
    const module = device.createShaderModule({ code: wgsl, label });
    const scope = device.popErrorScope().catch(() => null);
    const pipeline = device.createComputePipelineAsync({
      label,
      layout: this.#layout(layout, shape),
      compute: { module },
    });
    try {
      return await this.#lifetime.guard(this.#wait(pipeline));
    } catch (error) {
      await this.#lifetime.explain(error);
      await scope;
      const { messages } = await this.#lifetime.guard(this.#wait(module.getCompilationInfo()));
      const first = messages.find(({ type }) => type === 'error');
      const reason = first?.message ?? (error as Error).message;
      throw new ShaderError(label, reason, wgsl, first?.lineNum || undefined);
    }
  }

  #layout({ storage, uniform = false }: KernelLayout, shape: string): GPUPipelineLayout {
    const known = this.#layouts.get(shape);
    if (known) return known;
    const entries: GPUBindGroupLayoutEntry[] = Array.from({ length: storage }, (_, binding) => ({
      binding,
      visibility: shaderStageCompute,
      buffer: { type: 'storage' },
    }));
    if (uniform)
      entries.push({
        binding: storage,
        visibility: shaderStageCompute,
        buffer: { type: 'uniform', hasDynamicOffset: uniform === 'dynamic' },
      });
    const group = this.#device.createBindGroupLayout({ label: shape, entries });
    const layout = this.#device.createPipelineLayout({ label: shape, bindGroupLayouts: [group] });
    this.#layouts.set(shape, layout);
    return layout;
  }
}
