/** USB devices of the host that a definition names and that are not plugged in, on real QEMU. */
import { attachDevice, destroyDomain, getDomainXml, managedSave, qmpCommand, startDomain } from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { eventually, Stack } from '@virtbus/testkit';
import { refusal } from './host-storage';

jest.setTimeout(240_000);

let stack: Stack;
let bus: Bus;
beforeAll(async () => {
  stack = await Stack.start();
  bus = await stack.connect();
});
afterAll(() => stack?.[Symbol.asyncDispose]());

const controller = `<controller type='usb' model='qemu-xhci'/>`;
/** Nobody makes devices under this number. */
const usbDevice = (policy = ''): string =>
  `<hostdev mode='subsystem' type='usb'><source${policy}><vendor id='0xdead'/><product id='0xbeef'/></source></hostdev>`;
const notThere = { code: 'OPERATION_FAILED', message: 'operation failed: Did not find USB device dead:beef' };

test('a guest that needs a device that is not there does not start, and says which', async () => {
  const { uuid } = await stack.define(bus, { name: 'needs', devices: controller + usbDevice() });
  expect(await refusal(call(bus, startDomain, {}, { target: uuid }))).toEqual(notThere);
  await eventually(() => stack.state(bus, uuid), 'shutoff(failed)');
});

test('a guest that can do without starts without, is saved and restored, and its definition keeps the device', async () => {
  const devices = controller + usbDevice(" startupPolicy='optional'");
  const { uuid } = await stack.run(bus, { name: 'without', devices });
  const documents = async (): Promise<string[]> => {
    const both = [false, true].map((inactive) => call(bus, getDomainXml, { inactive }, { target: uuid }));
    return (await Promise.all(both)).map(({ xml }) => /<hostdev.*?<\/hostdev>/s.exec(xml ?? '')?.[0] ?? '');
  };
  const check = async (): Promise<void> => {
    const [live, defined] = await documents();
    expect(live).toMatch(/<source[^>]* missing='yes'/);
    expect(defined).not.toContain('missing');
    const command = { execute: 'qom-get', arguments: { path: '/machine/peripheral/hostdev0', property: 'type' } };
    expect((await call(bus, qmpCommand, command, { target: uuid })).result).toBe('usb-host');
  };
  await check();
  await call(bus, managedSave, {}, { target: uuid });
  await call(bus, startDomain, {}, { target: uuid });
  await check();
  await call(bus, destroyDomain, {}, { target: uuid });
});

test('a device that is not there joins no running guest', async () => {
  const { uuid } = await stack.run(bus, { name: 'joins', devices: controller });
  const xml = usbDevice(" startupPolicy='optional'");
  expect(await refusal(call(bus, attachDevice, { xml }, { target: uuid }))).toEqual(notThere);
  const { xml: live = '' } = await call(bus, getDomainXml, {}, { target: uuid });
  expect(live).not.toContain('<hostdev');
  await call(bus, destroyDomain, {}, { target: uuid });
});
