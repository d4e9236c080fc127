/** What a device can do: what kernels are chosen by. Plain data, so that a plan can be made for a device that is not here. */
export interface DeviceTraits {
  readonly vendor: string;
  readonly architecture: string;
  readonly description: string;
  /** The adapter runs on the processor (llvmpipe, SwiftShader, WARP, Dawn's null backend). */
  readonly isCpu: boolean;
  /** Invocations in a subgroup; 0 where there are no subgroups, or their size is not one number. */
  readonly subgroupSize: number;
  readonly hasF16: boolean;
  readonly hasTimestamps: boolean;
  /** Bytes. */
  readonly maxBufferSize: number;
  /** Bytes of one storage binding. */
  readonly maxBindingSize: number;
  /** Storage buffers that one kernel may bind. */
  readonly maxStorageBuffers: number;
  /** Invocations in a workgroup. */
  readonly maxInvocations: number;
  /** Bytes of workgroup memory. */
  readonly maxWorkgroupStorage: number;
  readonly maxWorkgroupsPerDimension: number;
  /** A storage binding's offset is a multiple of this many bytes. */
  readonly storageAlignment: number;
  readonly uniformAlignment: number;
}

/** What every WebGPU device has at least: its default limits, and no optional feature. */
export const leastTraits: DeviceTraits = {
  vendor: '',
  architecture: '',
  description: '',
  isCpu: false,
  subgroupSize: 0,
  hasF16: false,
  hasTimestamps: false,
  maxBufferSize: 2 ** 28,
  maxBindingSize: 2 ** 27,
  maxStorageBuffers: 8,
  maxInvocations: 256,
  maxWorkgroupStorage: 2 ** 14,
  maxWorkgroupsPerDimension: 65535,
  storageAlignment: 256,
  uniformAlignment: 256,
};

/** The limits that {@link GpuOptions.limits} may lower. */
export type AdjustableLimits = Pick<
  DeviceTraits,
  | 'maxBufferSize'
  | 'maxBindingSize'
  | 'maxStorageBuffers'
  | 'maxInvocations'
  | 'maxWorkgroupStorage'
  | 'maxWorkgroupsPerDimension'
>;

export interface GpuOptions {
  /** Which of several GPUs: default is the browser's or Dawn's choice. */
  readonly powerPreference?: GPUPowerPreference;
  /** Node only: Dawn's backend, e.g. `'null'` (validates everything, runs nothing), `'vulkan'`, `'metal'`, `'d3d12'`. */
  readonly backend?: string;
  /** `false` = act as if the adapter had no such feature. */
  readonly features?: { readonly f16?: boolean; readonly subgroups?: boolean };
  /** Act as a smaller device. A limit above the adapter's own changes nothing. */
  readonly limits?: Partial<AdjustableLimits>;
}

/** WebGPU's names of {@link AdjustableLimits}. */
export const limitNames = {
  maxBufferSize: 'maxBufferSize',
  maxBindingSize: 'maxStorageBufferBindingSize',
  maxStorageBuffers: 'maxStorageBuffersPerShaderStage',
  maxInvocations: 'maxComputeInvocationsPerWorkgroup',
  maxWorkgroupStorage: 'maxComputeWorkgroupStorageSize',
  maxWorkgroupsPerDimension: 'maxComputeWorkgroupsPerDimension',
} as const satisfies Record<keyof AdjustableLimits, keyof GPUSupportedLimits>;

const cpuNames = /llvmpipe|lavapipe|softpipe|swiftshader|basic render|null-backend/i;

/**
 * The traits of `device`.
 *
 * @param info the adapter's; a browser may leave fields out.
 */
export function traitsOf(device: GPUDevice, info: GPUAdapterInfo, options: GpuOptions): DeviceTraits {
  const { limits, features } = device;
  const limit = (name: keyof AdjustableLimits): number =>
    Math.min(limits[limitNames[name]], options.limits?.[name] ?? Number.POSITIVE_INFINITY);
  // Safari may leave the sizes out, and some GPUs choose between several per kernel: both count as none.
  const sizes = info as { readonly subgroupMinSize?: number; readonly subgroupMaxSize?: number };
  const fixedSize = sizes.subgroupMinSize === sizes.subgroupMaxSize ? (sizes.subgroupMinSize ?? 0) : 0;
  return {
    vendor: info.vendor,
    architecture: info.architecture,
    description: info.description || info.device,
    isCpu:
      (info as { readonly isFallbackAdapter?: boolean }).isFallbackAdapter === true ||
      cpuNames.test(`${info.architecture} ${info.device} ${info.description}`),
    subgroupSize: features.has('subgroups' as GPUFeatureName) ? fixedSize : 0,
    hasF16: features.has('shader-f16'),
    hasTimestamps: features.has('timestamp-query'),
    maxBufferSize: limit('maxBufferSize'),
    maxBindingSize: limit('maxBindingSize'),
    maxStorageBuffers: limit('maxStorageBuffers'),
    maxInvocations: limit('maxInvocations'),
    maxWorkgroupStorage: limit('maxWorkgroupStorage'),
    maxWorkgroupsPerDimension: limit('maxWorkgroupsPerDimension'),
    storageAlignment: limits.minStorageBufferOffsetAlignment,
    uniformAlignment: limits.minUniformBufferOffsetAlignment,
  };
}
