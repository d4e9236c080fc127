import type { Gpu } from '@graftjs/webgpu';
import type { Peer } from './peer.ts';

/** What every group of measurements gets. */
export interface Bench {
  readonly gpu: Gpu;
  readonly rounds: number;
  /** Other libraries to measure beside; none unless asked for. */
  readonly peers: readonly Peer[];
  /** A Python that has torch, transformers and peft. */
  readonly python?: string;
}
