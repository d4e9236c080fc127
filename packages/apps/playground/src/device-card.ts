import type { DeviceTraits } from '@graftjs/webgpu';
import { byId, make } from './dom.ts';
import { bytesText } from './format.ts';

/** Browsers hide parts of an adapter's name; the best of what they tell. */
export const adapterName = ({ description, vendor, architecture }: DeviceTraits): string =>
  description || [vendor, architecture].filter(Boolean).join(' ') || 'WebGPU adapter';

/** Shows the adapter and what of it matters for speed. */
export function showDevice(traits: DeviceTraits): void {
  const fact = (name: string, value: string): HTMLElement =>
    make('div', {}, make('dt', { textContent: name }), make('dd', { textContent: value }));
  const has = (feature: boolean): string => (feature ? 'yes' : 'no');
  byId('device').replaceChildren(
    make('p', { className: 'device-name', textContent: adapterName(traits) }),
    make(
      'p',
      { className: 'note' },
      traits.isCpu
        ? 'A software adapter: everything runs on the processor, slowly. In a browser with a GPU the same page is many times faster.'
        : 'Training runs on this GPU.',
    ),
    make(
      'dl',
      { className: 'facts' },
      fact('Subgroups', traits.subgroupSize > 0 ? `of ${traits.subgroupSize}` : 'no'),
      fact('16-bit floats', has(traits.hasF16)),
      fact('Largest buffer', bytesText(Math.min(traits.maxBindingSize, traits.maxBufferSize))),
    ),
  );
}

/** Says that there is no WebGPU here, and what to do. */
export function showNoDevice(message: string): void {
  byId('device').replaceChildren(
    make('p', { className: 'note', textContent: 'No WebGPU adapter was found.' }),
  );
  const box = byId('missing');
  box.replaceChildren(
    make('strong', { textContent: 'Training needs WebGPU, which this browser does not offer here.' }),
    make('p', { textContent: message }),
  );
  box.hidden = false;
}
