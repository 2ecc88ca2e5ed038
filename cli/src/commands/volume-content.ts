/** What is in a volume: its size, its bytes, its end. */
import { receiveContent, sendContent } from '../volume-stream';
import { parseBytes } from '../sizes';
import { argument, choice, command, example, flag } from '../spec';
import { hostOfVolume } from '../storage-host';
import { bytes } from './volume-making';
import { inPool, refOf, volume } from './volumes';

export const volResize = command({
  name: 'vol-resize',
  group: 'volume',
  summary: 'Change the capacity of a volume that nobody uses',
  args: { volume, capacity: argument('bytes, or 20G, 512MiB') },
  options: {
    allocate: flag('take the new space now'),
    delta: flag('the capacity is added, or with --shrink taken away'),
    shrink: flag('it may become smaller; what is beyond is lost'),
    ...inPool,
  },
  gives: 'resizeVolume',
  examples: [example('vol-resize web1.qcow2 20G --pool default', 'to 20 GiB')],
  async run({ args, options, session }) {
    const ref = refOf(args.volume, options);
    const host = await hostOfVolume(session, options.host, ref);
    const { allocate, delta, shrink } = options;
    const request = { ...ref, capacity: parseBytes(args.capacity, '<capacity>'), allocate, delta, shrink };
    await session.give(
      'resizeVolume',
      request,
      host,
      (answer) => `Size of volume '${answer.volume.name}' successfully changed to ${answer.volume.capacity} bytes`,
    );
  },
});

export const volWipe = command({
  name: 'vol-wipe',
  group: 'volume',
  summary: 'Overwrite every byte of a volume',
  args: { volume },
  options: { algorithm: choice(['zero', 'random', 'trim'], 'with what; zeros when left out'), ...inPool },
  gives: 'wipeVolume',
  examples: [example('vol-wipe web1.qcow2 --pool default', 'it is raw and empty then')],
  async run({ args, options, session }) {
    const ref = refOf(args.volume, options);
    const host = await hostOfVolume(session, options.host, ref);
    const algorithm = options.algorithm ?? 'zero';
    await session.give('wipeVolume', { ...ref, algorithm }, host, (answer) => `Vol '${answer.volume.name}' wiped`);
  },
});

export const volDelete = command({
  name: 'vol-delete',
  group: 'volume',
  summary: 'Delete a volume that nobody uses and nothing stands on',
  args: { volume },
  options: inPool,
  gives: 'deleteVolume',
  examples: [example('vol-delete web1.qcow2 --pool default', 'for ever')],
  async run({ args, options, session }) {
    const ref = refOf(args.volume, options);
    const host = await hostOfVolume(session, options.host, ref);
    await session.give('deleteVolume', ref, host, (answer) => `Vol '${answer.volume.name}' deleted`);
  },
});

const range = {
  offset: bytes('first byte in the volume'),
  length: bytes('bytes; all when left out'),
  sparse: flag('send holes as holes'),
};

export const volUpload = command({
  name: 'vol-upload',
  group: 'volume',
  summary: 'Fill a volume from a file here',
  about: 'The volume has its old content until all has come, and the new one after.',
  args: { volume, file: argument('file here', 'file') },
  options: { ...range, ...inPool },
  gives: 'uploadVolume',
  examples: [example('vol-upload web1.qcow2 ./debian.qcow2 --pool default --sparse', 'over the bus')],
  async run({ args, options, session, out }) {
    const ref = refOf(args.volume, options);
    const host = await hostOfVolume(session, options.host, ref);
    const { offset = 0, length, sparse } = options;
    const sent = await sendContent(session, out, { ...ref, host, file: args.file, offset, length, sparse });
    out.show({ volume: args.volume, host, bytes: sent }, () => `Vol '${args.volume}' uploaded (${sent} bytes)`);
  },
});

export const volDownload = command({
  name: 'vol-download',
  group: 'volume',
  summary: 'Fetch the content of a volume into a file here',
  args: { volume, file: argument('file here', 'file') },
  options: { ...range, ...inPool },
  gives: 'downloadVolume',
  examples: [example('vol-download web1.qcow2 ./web1.qcow2 --pool default --sparse', 'over the bus')],
  async run({ args, options, session, out }) {
    const ref = refOf(args.volume, options);
    const host = await hostOfVolume(session, options.host, ref);
    const { offset = 0, length = 0, sparse } = options;
    const got = await receiveContent(session, out, { ...ref, host, file: args.file, offset, length, sparse });
    out.show({ volume: args.volume, host, bytes: got }, () => `Vol '${args.volume}' downloaded (${got} bytes)`);
  },
});
