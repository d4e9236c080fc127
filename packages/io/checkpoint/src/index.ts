export {
  ADAPTER_CONFIG,
  ADAPTER_WEIGHTS,
  type Adapter,
  encodeAdapter,
  readAdapter,
  type WriteAdapterOptions,
  writeAdapter,
} from './adapter.ts';
export { DTYPES, type Dtype, dtypeBits } from './dtypes.ts';
export * from './errors.ts';
export { type FetchFolderOptions, fetchFolder } from './fetch-folder.ts';
export { type FileContent, type FileSource, type Folder, memoryFile, readAll } from './folder.ts';
export {
  type BlockDtype,
  type BlockSize,
  blockSize,
  type GgmlDtype,
  isBlockDtype,
} from './gguf/ggml-types.ts';
export { GgufError, type GgufProblem } from './gguf/gguf-error.ts';
export { type GgufFile, openGguf } from './gguf/gguf-reader.ts';
export type { GgufNumbers, GgufValue } from './gguf/gguf-values.ts';
export { type JsonObject, readJsonObject } from './json-file.ts';
export { type MemoryFiles, memoryFolder } from './memory-folder.ts';
export {
  type ModelFolder,
  openModelFolder,
  openWeights,
  readTokenizerFiles,
  type TokenizerFiles,
} from './model-folder.ts';
export { fromFloat32, toFloat32 } from './numbers.ts';
export { opfsFolder } from './opfs-folder.ts';
export type { FileDigest } from './piece-hash.ts';
export { pythonJson } from './python-json.ts';
export { openSafetensors } from './safetensors-reader.ts';
export {
  encodeSafetensors,
  type Metadata,
  type Named,
  streamSafetensors,
  type TensorData,
  type TensorStream,
} from './safetensors-writer.ts';
export {
  type Checkpoint,
  type CheckpointEntry,
  type LatestCheckpoint,
  latestValidCheckpoint,
  listCheckpoints,
  readCheckpoint,
  type WriteCheckpointOptions,
  writeCheckpoint,
} from './training-checkpoint.ts';
export {
  type ByteRange,
  checkShapes,
  checkTensorRange,
  entryOf,
  type TensorEntry,
  type Weights,
} from './weights.ts';
