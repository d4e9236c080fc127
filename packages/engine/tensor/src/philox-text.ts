/**
 * WGSL of Philox-4x32-10 (Salmon et al., 2011): `graft_philox(block, stream, key)`, the four words of `randomBits`'s
 * elements from 4 block on, for kernels that draw them.
 */
export const philoxText = `
fn graft_mul_high(a: u32, b: u32) -> u32 {
  let al = a & 0xffffu; let ah = a >> 16u; let bl = b & 0xffffu; let bh = b >> 16u;
  let low = al * bl; let mid1 = ah * bl + (low >> 16u); let mid2 = al * bh + (mid1 & 0xffffu);
  return ah * bh + (mid1 >> 16u) + (mid2 >> 16u);
}
fn graft_philox(block: u32, stream: u32, key: vec2<u32>) -> vec4<u32> {
  var c = vec4<u32>(block, stream, 0u, 0u);
  var k = key;
  for (var round = 0u; round < 10u; round++) {
    c = vec4<u32>(
      graft_mul_high(0xcd9e8d57u, c.z) ^ c.y ^ k.x, 0xcd9e8d57u * c.z,
      graft_mul_high(0xd2511f53u, c.x) ^ c.w ^ k.y, 0xd2511f53u * c.x);
    k += vec2<u32>(0x9e3779b9u, 0xbb67ae85u);
  }
  return c;
}
`;
