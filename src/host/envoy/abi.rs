//! The host calls of proxy-wasm ABI 0.2.1 and the two of WASI, each behind a safe function that returns a value
//! instead of panicking. What the host hands over lies in memory that it took from the SDK's allocator.
#![expect(unsafe_code, reason = "the calls of the ABI; nothing else in the crate is unsafe")]

/// Which header map.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(super) enum Map {
    Request = 0,
    Response = 2,
    CalloutResponse = 6,
}

/// Which buffer.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(super) enum Buffer {
    RequestBody = 0,
    ResponseBody = 1,
    DownstreamData = 2,
    UpstreamData = 3,
    CalloutBody = 4,
    PluginConfiguration = 7,
}

/// Which stream to let go on.
const HTTP_REQUEST: u32 = 0;
/// Which stream to close: the downstream of a connection.
const DOWNSTREAM: u32 = 2;
const OK: u32 = 0;
const CAS_MISMATCH: u32 = 8;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
    fn proxy_log(level: u32, message: *const u8, size: usize) -> u32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_set_effective_context(context: u32) -> u32;
    fn proxy_continue_stream(stream: u32) -> u32;
    fn proxy_close_stream(stream: u32) -> u32;
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_get_header_map_value(map: u32, k: *const u8, ks: usize, v: *mut *mut u8, vs: *mut usize) -> u32;
    fn proxy_replace_header_map_value(map: u32, k: *const u8, ks: usize, v: *const u8, vs: usize) -> u32;
    fn proxy_add_header_map_value(map: u32, k: *const u8, ks: usize, v: *const u8, vs: usize) -> u32;
    fn proxy_remove_header_map_value(map: u32, k: *const u8, ks: usize) -> u32;
    fn proxy_get_buffer_bytes(
        buffer: u32,
        start: usize,
        max: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_set_buffer_bytes(buffer: u32, start: usize, size: usize, data: *const u8, length: usize) -> u32;
    fn proxy_get_property(path: *const u8, ps: usize, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_set_property(path: *const u8, ps: usize, data: *const u8, size: usize) -> u32;
    fn proxy_get_shared_data(
        k: *const u8,
        ks: usize,
        data: *mut *mut u8,
        size: *mut usize,
        cas: *mut u32,
    ) -> u32;
    fn proxy_set_shared_data(k: *const u8, ks: usize, data: *const u8, size: usize, cas: u32) -> u32;
    fn proxy_register_shared_queue(name: *const u8, size: usize, queue: *mut u32) -> u32;
    fn proxy_enqueue_shared_queue(queue: u32, data: *const u8, size: usize) -> u32;
    fn proxy_dequeue_shared_queue(queue: u32, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        fields: *const u8,
        fields_size: usize,
        grpc_status: i32,
    ) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, size: usize, metric: *mut u32) -> u32;
    fn proxy_increment_metric(metric: u32, offset: i64) -> u32;
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn clock_time_get(clock: u32, precision: u64, time: *mut u64) -> u32;
    fn random_get(data: *mut u8, size: usize) -> u32;
}

/// Takes over what the host allocated and filled; the SDK's allocator makes length and capacity equal.
fn taken(status: u32, data: *mut u8, size: usize) -> Option<Vec<u8>> {
    if status != OK {
        return None;
    }
    if data.is_null() {
        return Some(Vec::new());
    }
    // SAFETY: the host wrote `size` bytes at `data`, which it got from `proxy_on_memory_allocate(size)`: a boxed
    // slice of that length given away with `Box::into_raw`.
    Some(unsafe { Vec::from_raw_parts(data, size, size) })
}

// SAFETY, for all calls below: pointers and sizes come from live slices or locals, and the host keeps none of them
// beyond the call.

/// Nanoseconds since the Unix epoch.
pub(super) fn wall_nanoseconds() -> u64 {
    let mut time = 0;
    unsafe { proxy_get_current_time_nanoseconds(&mut time) };
    time
}

/// Nanoseconds of the process's monotonic clock.
pub(super) fn mono_nanoseconds() -> u64 {
    const MONOTONIC: u32 = 1;
    let mut time = 0;
    unsafe { clock_time_get(MONOTONIC, 1, &mut time) };
    time
}

/// Eight bytes of the host's entropy.
pub(super) fn random() -> u64 {
    let mut bytes = [0; 8];
    unsafe { random_get(bytes.as_mut_ptr(), bytes.len()) };
    u64::from_le_bytes(bytes)
}

pub(super) fn log(level: u32, line: &str) {
    unsafe { proxy_log(level, line.as_ptr(), line.len()) };
}

pub(super) fn set_tick_period(milliseconds: u32) {
    unsafe { proxy_set_tick_period_milliseconds(milliseconds) };
}

/// `false`: there is no such context any more.
pub(super) fn set_effective_context(context: u32) -> bool {
    unsafe { proxy_set_effective_context(context) == OK }
}

pub(super) fn continue_request() {
    unsafe { proxy_continue_stream(HTTP_REQUEST) };
}

pub(super) fn close_downstream() {
    unsafe { proxy_close_stream(DOWNSTREAM) };
}

pub(super) fn header_pairs(map: Map) -> Option<Vec<u8>> {
    let (mut data, mut size) = (std::ptr::null_mut(), 0);
    let status = unsafe { proxy_get_header_map_pairs(map as u32, &mut data, &mut size) };
    taken(status, data, size)
}

/// The `:status` of the callout whose answer is being delivered.
pub(super) fn callout_status() -> Option<Vec<u8>> {
    const STATUS: &str = ":status";
    let (mut data, mut size) = (std::ptr::null_mut(), 0);
    let status = unsafe {
        proxy_get_header_map_value(
            Map::CalloutResponse as u32,
            STATUS.as_ptr(),
            STATUS.len(),
            &mut data,
            &mut size,
        )
    };
    taken(status, data, size)
}

pub(super) fn replace_header(map: Map, name: &str, value: &[u8]) {
    unsafe {
        proxy_replace_header_map_value(map as u32, name.as_ptr(), name.len(), value.as_ptr(), value.len())
    };
}

pub(super) fn add_header(map: Map, name: &str, value: &[u8]) {
    unsafe { proxy_add_header_map_value(map as u32, name.as_ptr(), name.len(), value.as_ptr(), value.len()) };
}

pub(super) fn remove_header(map: Map, name: &str) {
    unsafe { proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len()) };
}

pub(super) fn buffer(buffer: Buffer, max: usize) -> Option<Vec<u8>> {
    let (mut data, mut size) = (std::ptr::null_mut(), 0);
    let status = unsafe { proxy_get_buffer_bytes(buffer as u32, 0, max, &mut data, &mut size) };
    taken(status, data, size)
}

/// Replaces the first `size` bytes of a buffer.
pub(super) fn set_buffer(buffer: Buffer, size: usize, bytes: &[u8]) -> bool {
    unsafe { proxy_set_buffer_bytes(buffer as u32, 0, size, bytes.as_ptr(), bytes.len()) == OK }
}

/// A property; the parts of `path` are separated by NUL.
pub(super) fn property(path: &str) -> Option<Vec<u8>> {
    let (mut data, mut size) = (std::ptr::null_mut(), 0);
    let status = unsafe { proxy_get_property(path.as_ptr(), path.len(), &mut data, &mut size) };
    taken(status, data, size)
}

pub(super) fn set_property(path: &str, value: &[u8]) {
    unsafe { proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len()) };
}

pub(super) fn shared_data(key: &[u8]) -> Option<(Vec<u8>, u32)> {
    let (mut data, mut size, mut cas) = (std::ptr::null_mut(), 0, 0);
    let status = unsafe { proxy_get_shared_data(key.as_ptr(), key.len(), &mut data, &mut size, &mut cas) };
    Some((taken(status, data, size)?, cas))
}

/// `false`: the value changed since it had this cas; 0 overwrites.
pub(super) fn set_shared_data(key: &[u8], value: &[u8], cas: u32) -> bool {
    unsafe {
        proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), cas) != CAS_MISMATCH
    }
}

pub(super) fn register_queue(name: &str) -> Option<u32> {
    let mut queue = 0;
    let status = unsafe { proxy_register_shared_queue(name.as_ptr(), name.len(), &mut queue) };
    (status == OK).then_some(queue)
}

pub(super) fn enqueue(queue: u32, message: &[u8]) -> bool {
    unsafe { proxy_enqueue_shared_queue(queue, message.as_ptr(), message.len()) == OK }
}

pub(super) fn dequeue(queue: u32) -> Option<Vec<u8>> {
    let (mut data, mut size) = (std::ptr::null_mut(), 0);
    let status = unsafe { proxy_dequeue_shared_queue(queue, &mut data, &mut size) };
    taken(status, data, size)
}

/// Answers the effective stream; `fields` is a block as `http::fields` describes it.
pub(super) fn send_local_response(status: u16, fields: &[u8], body: &[u8]) {
    const NOT_GRPC: i32 = -1;
    let details = std::ptr::null();
    unsafe {
        proxy_send_local_response(
            u32::from(status),
            details,
            0,
            body.as_ptr(),
            body.len(),
            fields.as_ptr(),
            fields.len(),
            NOT_GRPC,
        )
    };
}

pub(super) fn define_metric(kind: u32, name: &str) -> Option<u32> {
    let mut metric = 0;
    let status = unsafe { proxy_define_metric(kind, name.as_ptr(), name.len(), &mut metric) };
    (status == OK).then_some(metric)
}

pub(super) fn increment_metric(metric: u32, amount: i64) {
    unsafe { proxy_increment_metric(metric, amount) };
}
