/** The name of the virtio-serial port that the QEMU guest agent listens on. */
export const agentPort = 'org.qemu.guest_agent.0';
