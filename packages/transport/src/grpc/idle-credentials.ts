/**
 * Plain connections that do not keep the process alive. gRPC holds a session as long as it has a call, and our calls are
 * as long as the connection; it has no option for that. What secures a connection is handed its socket, so that is where
 * a socket can be told not to listen to `ref` any more. (The method is declared by @grpc/grpc-js, but named as private:
 * a test notices when it changes.)
 */
import type { Socket } from "node:net";
import { CallCredentials, ChannelCredentials } from "@grpc/grpc-js";

type SecureConnector = ReturnType<ChannelCredentials["_createSecureConnector"]>;

export class IdleCredentials extends ChannelCredentials {
  override compose(): ChannelCredentials {
    throw new Error("insecure credentials cannot be composed");
  }

  override _isSecure(): boolean {
    return false;
  }

  override _equals(other: ChannelCredentials): boolean {
    return other instanceof IdleCredentials;
  }

  override _createSecureConnector(
    ...[, , callCredentials]: Parameters<ChannelCredentials["_createSecureConnector"]>
  ): SecureConnector {
    return {
      connect: (socket) => {
        idle(socket);
        return Promise.resolve({ socket, secure: false });
      },
      waitForReady: () => Promise.resolve(),
      getCallCredentials: () => callCredentials ?? CallCredentials.createEmpty(),
      destroy() {},
    };
  }
}

function idle(socket: Socket): void {
  socket.unref();
  socket.ref = () => socket;
}
