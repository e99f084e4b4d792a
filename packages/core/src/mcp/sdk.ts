import { connectorErrors } from '../capabilities/connectors/index.ts'

/** The parts of the protocol's package that are used. */
export interface Sdk {
  readonly client: typeof import('@modelcontextprotocol/sdk/client/index.js')
  readonly framing: typeof import('@modelcontextprotocol/sdk/shared/stdio.js')
  readonly http: typeof import('@modelcontextprotocol/sdk/client/streamableHttp.js')
  readonly types: typeof import('@modelcontextprotocol/sdk/types.js')
}

/** Loads the package when a connector is first opened; says how to get it when it is not there. */
export async function loadSdk(): Promise<Sdk> {
  try {
    const [client, framing, http, types] = await Promise.all([
      import('@modelcontextprotocol/sdk/client/index.js'),
      import('@modelcontextprotocol/sdk/shared/stdio.js'),
      import('@modelcontextprotocol/sdk/client/streamableHttp.js'),
      import('@modelcontextprotocol/sdk/types.js'),
    ])
    return { client, framing, http, types }
  } catch (cause) {
    const { code, message } = cause as { code?: unknown; message?: unknown }
    if (code !== 'ERR_MODULE_NOT_FOUND' || !String(message).includes('@modelcontextprotocol/sdk')) throw cause
    throw connectorErrors.CONNECTOR_PACKAGE_MISSING({ cause })
  }
}
