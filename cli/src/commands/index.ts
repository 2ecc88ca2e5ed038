/** Every command, in the order in which help and the reference page show them within their groups. */
import type { CommandSpec } from '../spec';
import { autostart, create, define, dumpxml, edit, rename, undefine } from './definition';
import { attach, detach, update } from './devices';
import { attachDisk, changeMedia, detachDisk, domblklist } from './disks';
import { events, outcome } from './events';
import { agent, exec, monitor, screenshot, sendKey } from './guest';
import { setmaxmem, setmem, setvcpus, vcpucount, vcpuinfo } from './hardware';
import { capabilities, domcapabilities, domhost, hostInfo, hosts } from './hosts';
import { id, name, uuid } from './identity';
import { domjobabort, domjobinfo, dominfo, domstate } from './info';
import { attachInterface, detachInterface, domifSetlink, domiflist } from './interfaces';
import { console, destroy, reboot, reset, resume, shutdown, start, suspend } from './lifecycle';
import { list } from './list';
import { desc, metadata } from './metadata';
import { domxmlFromNative, domxmlToNative } from './native';
import { managedsave, managedsaveRemove, restore, save } from './save';
import { domblkstat, domifstat, dommemstat, domstats } from './stats';
import { completion, help, version } from './tools';

export const commands: readonly CommandSpec[] = [
  ...[define, undefine, create, start, shutdown, reboot, reset, destroy, suspend, resume],
  ...[save, restore, managedsave, managedsaveRemove, domjobabort],
  ...[autostart, edit, dumpxml, domxmlToNative, domxmlFromNative, rename, desc, metadata, name, uuid, id],
  ...[list, dominfo, domstate, domjobinfo, events, outcome],
  ...[domstats, dommemstat, domblkstat, domifstat, domblklist, domiflist, vcpucount, vcpuinfo],
  ...[attach, detach, update, attachDisk, detachDisk, changeMedia, attachInterface, detachInterface, domifSetlink],
  ...[setmem, setmaxmem, setvcpus],
  ...[console, exec, sendKey, screenshot, agent, monitor],
  ...[hosts, hostInfo, domhost, capabilities, domcapabilities],
  ...[help, completion, version],
];
