/** The settings of this service, beside those that every service has. */
import { serviceSettings, setting } from '@virtbus/shared/config';
import { z } from 'zod';

const count = z.coerce.number().int().positive();

export const domainSettings = {
  ...serviceSettings,
  jetstreamReplicas: setting(
    'VIRTBUS_JETSTREAM_REPLICAS',
    count.max(5).default(1),
    'copies of each stream in a cluster; used when a stream is made',
  ),
  eventsMaxAgeDays: setting(
    'VIRTBUS_EVENTS_MAX_AGE_DAYS',
    count.default(30),
    'events older than this are dropped, days',
  ),
  eventsMaxMib: setting('VIRTBUS_EVENTS_MAX_MIB', count.default(1_024), 'events beyond this size are dropped, MiB'),
};
