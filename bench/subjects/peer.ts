/** Loads a library that is installed on request only. The name is no literal, so that nothing looks for it before. */
export async function loadPeer<Module>(name: string): Promise<Module> {
  try {
    return (await import(name)) as Module
  } catch (cause) {
    throw new Error(`${name} is not installed; install the peers with: npm install --prefix bench`, { cause })
  }
}
