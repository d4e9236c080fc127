import type { QuickstartEvent, QuickstartResult, QuickstartText, Recipe, Sample } from '@graftjs/quickstart';
import type { DeviceTraits } from '@graftjs/webgpu';

/** What the page asks of the worker. */
export type Request =
  | { readonly type: 'train'; readonly settings: Partial<Recipe>; readonly text: QuickstartText | undefined }
  | { readonly type: 'pause' }
  | { readonly type: 'resume' }
  /** Ends training; what was learnt is kept. */
  | { readonly type: 'stop' }
  /** Has base and tuned model of the last run continue a beginning. */
  | { readonly type: 'sample'; readonly prompt: string };

/** What of a result can be sent between threads. */
export type RunResult = Omit<QuickstartResult, 'sample'>;

/** What the worker tells the page. The first is `device` or `no-device`, without being asked. */
export type Reply =
  | { readonly type: 'device'; readonly traits: DeviceTraits }
  | { readonly type: 'no-device'; readonly message: string }
  | { readonly type: 'event'; readonly event: QuickstartEvent }
  | { readonly type: 'done'; readonly result: RunResult }
  | { readonly type: 'sample'; readonly sample: Sample }
  /** Stopped before there was anything to keep. */
  | { readonly type: 'stopped' }
  | { readonly type: 'failed'; readonly name: string; readonly message: string };
