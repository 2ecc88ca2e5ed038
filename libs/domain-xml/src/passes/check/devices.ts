/** Screens, cards, character devices and the rest. */
import { lineOf } from '../../schema';
import { isX86 } from '../machine';
import type { Rule } from './rule';

const screens: Rule = ({ domain: { devices }, faults }) => {
  const opengl = devices.graphics.filter(({ type, gl }) => type === 'egl-headless' || gl?.enable);
  if (opengl.length > 1 && opengl.some(({ type }) => type === 'egl-headless'))
    faults.add('CONFIG_UNSUPPORTED', 'multiple OpenGL displays are not supported by QEMU', {
      element: 'graphics',
      line: lineOf(opengl[1]),
    });
  const primaries = devices.videos.filter(({ model }) => model?.primary);
  if (primaries.length > 1)
    faults.add('CONFIG_UNSUPPORTED', 'Only one primary video device is supported', {
      element: 'video',
      line: lineOf(primaries[1]),
    });
  for (const video of devices.videos)
    if (video.model?.type === 'ramfb' && video.address)
      faults.add('CONFIG_UNSUPPORTED', 'address not supported for video type ramfb', {
        element: 'video',
        line: lineOf(video),
      });
};

const cards: Rule = ({ domain, faults }) => {
  const shared =
    domain.memoryBacking?.access?.mode === 'shared' ||
    (domain.cpu?.numa?.cells ?? []).some(({ memAccess }) => memAccess === 'shared');
  for (const card of domain.devices.interfaces) {
    const where = { element: 'interface', line: lineOf(card) };
    if (card.type === 'vhostuser' && card.backend?.type === 'passt' && !shared)
      faults.add('CONFIG_UNSUPPORTED', "'interface' requires shared memory", where);
    if (card.driver?.queues !== undefined && card.driver.queues > 256)
      faults.add('CONFIG_UNSUPPORTED', 'queues can be at most 256', where);
  }
};

const transitional = new Set(['virtio-transitional', 'virtio-non-transitional']);

const inputs: Rule = ({ domain, faults }) => {
  for (const input of domain.devices.inputs) {
    const where = { element: 'input', line: lineOf(input) };
    if (input.model !== undefined && transitional.has(input.model) && input.type !== 'passthrough')
      faults.add(
        'CONFIG_UNSUPPORTED',
        `virtio (non-)transitional models are not supported for input type=${input.type}`,
        where,
      );
    if (input.bus === 'ps2' && input.type !== 'mouse' && input.type !== 'keyboard')
      faults.add('CONFIG_UNSUPPORTED', `ps2 bus does not support ${input.type} input device`, where);
  }
};

const sockets: Rule = ({ domain: { devices }, faults }) => {
  for (const device of [...devices.serials, ...devices.parallels])
    if (device.type === 'unix' && device.sources[0]?.path === undefined)
      faults.add('INTERNAL_ERROR', 'Missing source path attribute for char device', { line: lineOf(device) });
};

const single: Rule = ({ domain, faults }) => {
  const { panics, tpms } = domain.devices;
  const models = panics.map(({ model }) => model);
  if (new Set(models).size < models.length)
    faults.add('CONFIG_UNSUPPORTED', 'Multiple panic devices with the same model', {
      element: 'panic',
      line: lineOf(panics[1]),
    });
  if (!isX86(domain)) return;
  if (tpms.length > 1)
    faults.add('CONFIG_UNSUPPORTED', 'only a single TPM non-proxy device is supported', {
      element: 'tpm',
      line: lineOf(tpms[1]),
    });
};

export const deviceRules: readonly Rule[] = [screens, cards, inputs, sockets, single];
