/**
 * What costs time to load is loaded when it is first needed: `virtbus --help` and completion touch none of it.
 *
 * Types come from plain imports, which cost nothing at run time.
 */
import { createRequire } from 'node:module';
import type * as Xml from '@virtbus/domain-xml';
import type * as StorageXml from '@virtbus/domain-xml/storage';
import type * as Shared from '@virtbus/shared';
import type * as Auth from '@virtbus/shared/auth';
import type * as BusModule from '@virtbus/shared/bus';
import type * as Config from '@virtbus/shared/config';
import type * as Tracing from '@virtbus/shared/tracing';

const load = createRequire(__filename);

export const shared = (): typeof Shared => load('@virtbus/shared') as typeof Shared;
export const auth = (): typeof Auth => load('@virtbus/shared/auth') as typeof Auth;
export const busModule = (): typeof BusModule => load('@virtbus/shared/bus') as typeof BusModule;
export const tracing = (): typeof Tracing => load('@virtbus/shared/tracing') as typeof Tracing;
export const config = (): typeof Config => load('@virtbus/shared/config') as typeof Config;
export const domainXml = (): typeof Xml => load('@virtbus/domain-xml') as typeof Xml;
export const storageXml = (): typeof StorageXml => load('@virtbus/domain-xml/storage') as typeof StorageXml;
