/** Every command, in the order in which help and the reference page show them within their groups. */
import type { CommandSpec } from '../spec';
import { authInit } from './auth-init';
import { authAdd, authList, authRenew, authRevoke, authRotate } from './auth-users';
import { blockcommit, blockcopy, blockjob, blockpull } from './block-jobs';
import { backupBegin, backupDumpxml } from './backup';
import { chainAudit, chainRepair, chainShow, chainUsers, chainVerify } from './chains';
import {
  checkpointCreate,
  checkpointCreateAs,
  checkpointDelete,
  checkpointDumpxml,
  checkpointInfo,
  checkpointList,
  checkpointParent,
} from './checkpoints';
import { cpuBaseline, cpuCompare } from './cpu';
import { autostart, create, define, dumpxml, edit, rename, undefine } from './definition';
import { attach, detach, update } from './devices';
import { blkdeviotune } from './disk-limits';
import { blockresize, domblkerror, domblkinfo, domblkthreshold } from './disk-sizes';
import { attachDisk, changeMedia, detachDisk, domblklist } from './disks';
import { events, outcome } from './events';
import { hostDrain, hostUndrain } from './drain';
import { domxmlExplain } from './explain';
import { agent, exec, monitor, screenshot, sendKey } from './guest';
import { setmaxmem, setmem, setvcpus, vcpucount, vcpuinfo } from './hardware';
import { capabilities, domcapabilities, domhost, hostForget, hostInfo, hosts } from './hosts';
import { id, name, uuid } from './identity';
import { domjobabort, domjobinfo, dominfo, domstate } from './info';
import { attachInterface, detachInterface, domifSetlink, domiflist } from './interfaces';
import { leaseDrop, leaseList } from './leases';
import { console, destroy, reboot, reset, resume, shutdown, start, suspend } from './lifecycle';
import { list } from './list';
import { desc, metadata } from './metadata';
import {
  migrate,
  migrateAbort,
  migrateGetspeed,
  migrateInfo,
  migratePostcopy,
  migrateSetmaxdowntime,
  migrateSetspeed,
  migrations,
} from './migrate';
import { domxmlFromNative, domxmlToNative } from './native';
import { managedsave, managedsaveRemove, restore, save } from './save';
import { poolCreate, poolCreateAs, poolDefine, poolDefineAs } from './pool-definition';
import {
  poolAutostart,
  poolBuild,
  poolDelete,
  poolDestroy,
  poolDumpxml,
  poolInfo,
  poolList,
  poolName,
  poolRefresh,
  poolStart,
  poolUndefine,
  poolUuid,
} from './pools';
import { snapshotCreate, snapshotCreateAs, snapshotDelete, snapshotRevert } from './snapshot-making';
import {
  snapshotCurrent,
  snapshotDumpxml,
  snapshotEdit,
  snapshotInfo,
  snapshotList,
  snapshotParent,
} from './snapshots';
import { domblkstat, domifstat, dommemstat, domstats } from './stats';
import { completion, help, version } from './tools';
import { blkiotune, memtune, schedinfo } from './tuning';
import { verify } from './verify';
import { why } from './why';
import { volDelete, volDownload, volResize, volUpload, volWipe } from './volume-content';
import { volClone, volCreate, volCreateAs, volCreateFrom } from './volume-making';
import { volDumpxml, volInfo, volKey, volList, volName, volPath, volPool } from './volumes';

export const commands: readonly CommandSpec[] = [
  ...[define, undefine, create, start, shutdown, reboot, reset, destroy, suspend, resume],
  ...[save, restore, managedsave, managedsaveRemove, domjobabort],
  ...[migrate, migrateAbort, migratePostcopy, migrateSetspeed, migrateSetmaxdowntime],
  ...[autostart, edit, dumpxml, rename, desc, metadata, name, uuid, id],
  ...[domxmlExplain, domxmlToNative, domxmlFromNative],
  ...[list, dominfo, domstate, domjobinfo, migrations, migrateInfo, migrateGetspeed, events, outcome, why],
  ...[domstats, dommemstat, domblkstat, domblkinfo, domblkerror, domifstat, domblklist, domiflist, vcpucount, vcpuinfo],
  ...[attach, detach, update, attachDisk, detachDisk, changeMedia, attachInterface, detachInterface, domifSetlink],
  ...[setmem, setmaxmem, setvcpus, schedinfo, memtune, blkiotune, blkdeviotune, blockresize, domblkthreshold],
  ...[blockpull, blockcommit, blockcopy, blockjob],
  ...[console, exec, sendKey, screenshot, agent, monitor],
  ...[poolList, poolDefine, poolDefineAs, poolCreate, poolCreateAs, poolBuild, poolStart, poolDestroy],
  ...[poolUndefine, poolDelete, poolAutostart, poolRefresh, poolInfo, poolDumpxml, poolUuid, poolName],
  ...[volList, volCreate, volCreateAs, volCreateFrom, volClone, volResize, volWipe, volDelete],
  ...[volUpload, volDownload, volInfo, volDumpxml, volPath, volKey, volName, volPool],
  ...[chainShow, chainVerify, chainUsers, chainAudit, chainRepair],
  ...[snapshotCreate, snapshotCreateAs, snapshotList, snapshotInfo, snapshotDumpxml, snapshotCurrent, snapshotParent],
  ...[snapshotRevert, snapshotDelete, snapshotEdit],
  ...[backupBegin, backupDumpxml, checkpointCreate, checkpointCreateAs, checkpointList, checkpointDumpxml],
  ...[checkpointInfo, checkpointParent, checkpointDelete],
  ...[verify, leaseList, leaseDrop],
  ...[
    hosts,
    hostInfo,
    hostDrain,
    hostUndrain,
    hostForget,
    domhost,
    capabilities,
    domcapabilities,
    cpuCompare,
    cpuBaseline,
  ],
  ...[authInit, authAdd, authList, authRotate, authRevoke, authRenew],
  ...[help, completion, version],
];
