import {
  type HostArray,
  hostArray,
  type KernelTraits,
  sizeOf,
  type Tensor,
  type TensorSpec,
  Variable,
} from '@graftjs/tensor';
import type { DeviceTraits, Gpu, GpuBuffer } from '@graftjs/webgpu';
import { lowerRequest, type ProgramRequest } from './plan-request.ts';
import { Program } from './program.ts';
import { Runtime } from './runtime.ts';
import type { VariablePlace } from './variable-memory.ts';

/**
 * A runtime without a device: its programs are planned for a device with these traits, and explain what they would
 * cost. Nothing is compiled, no memory is taken, and every value is zero.
 */
export class PlanningRuntime extends Runtime {
  constructor(traits: DeviceTraits & KernelTraits) {
    super(absentGpu(traits));
  }

  override async compile(request: ProgramRequest): Promise<Program> {
    const { makePlan, variables } = lowerRequest(request, this.traits);
    const plan = { ...makePlan(), pipelines: [], params: undefined, paramOffsets: [] };
    return new PlannedProgram(
      this,
      plan,
      variables,
      (request.outputs ?? []).map((t) => t.spec),
    );
  }

  override async read(variable: Variable): Promise<HostArray> {
    return zerosOf(variable.spec);
  }

  override async materialize(tensor: Tensor, name = 'value'): Promise<Variable> {
    return new Variable(tensor.shape, undefined, { dtype: tensor.dtype, name });
  }

  override upload(variable: Variable): void {
    variable.takePending();
  }

  override release(): void {}

  override placeOf(): VariablePlace {
    throw new Error('a PlanningRuntime has no device memory');
  }
}

class PlannedProgram extends Program {
  override async run(): Promise<HostArray[]> {
    return this.outputSpecs.map(zerosOf);
  }
}

const zerosOf = ({ dtype, shape }: TensorSpec): HostArray => hostArray(dtype, sizeOf(shape));

/** What a runtime asks of a device before any program runs. */
function absentGpu(traits: DeviceTraits): Gpu {
  const buffer = { byteLength: 16, label: 'none' } as GpuBuffer;
  return { traits, buffers: { create: () => buffer } } as unknown as Gpu;
}
