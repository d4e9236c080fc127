/**
 * WebGPU's flag values. They are fixed by the specification, and Node has no such globals unless a library
 * puts them there for everybody.
 */
export const BufferUsage = {
  mapRead: 0x0001,
  copySrc: 0x0004,
  copyDst: 0x0008,
  uniform: 0x0040,
  storage: 0x0080,
  queryResolve: 0x0200,
} as const;

export const mapModeRead = 0x0001;
export const shaderStageCompute = 0x4;
