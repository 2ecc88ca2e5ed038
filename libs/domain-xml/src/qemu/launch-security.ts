/** Guests whose memory the host can not read. */
import type { Guest, ObjectProps } from './context';
import { props } from './props';
import type { CommandWords } from './words';

/** The object that the machine names as its `confidential-guest-support`. */
export const launchSecurityId = 'lsec0';

export function addLaunchSecurity(out: CommandWords, { domain, context }: Guest): void {
  const { launchSecurity: security } = domain;
  if (security === undefined) return;
  const file = (name: string): string => `${context.domainDir}/${name}.base64`;
  switch (security.type) {
    case 'sev':
      out.object(
        props({
          'qom-type': 'sev-guest',
          id: launchSecurityId,
          cbitpos: security.cbitpos,
          'reduced-phys-bits': security.reducedPhysBits,
          policy: security.policy,
          'dh-cert-file': security.dhCert && file('dh_cert'),
          'session-file': security.session && file('session'),
          'kernel-hashes': security.kernelHashes,
        }) as ObjectProps,
      );
      break;
    case 'sev-snp':
      out.object(
        props({
          'qom-type': 'sev-snp-guest',
          id: launchSecurityId,
          cbitpos: security.cbitpos,
          'reduced-phys-bits': security.reducedPhysBits,
          'kernel-hashes': security.kernelHashes,
          'author-key-enabled': security.authorKey,
          'vcek-disabled': security.vcek === undefined ? undefined : !security.vcek,
          policy: security.policy,
          'guest-visible-workarounds': security.guestVisibleWorkarounds,
          'id-block': security.idBlock,
          'id-auth': security.idAuth,
          'host-data': security.hostData,
        }) as ObjectProps,
      );
      break;
    case 's390-pv':
      out.object({ 'qom-type': 's390-pv-guest', id: launchSecurityId });
  }
}
