-- SPDX-License-Identifier: BSD-3-Clause
-- Wireshark and tshark: order packets (docs/protocol.md). Requests and replies with all fields, the reply
-- of each request and the time it took, retransmissions, broken rules of the page, and tags, which are
-- verified with the keys of the preferences. docs/wireshark.md says how to install it.
--
-- Runs in Lua 5.2 to 5.4. Numbers of 64 bits are Wireshark's UInt64, because Lua 5.2 has doubles only.

local VERSION, SIZE, MAGIC, TAG_AT, REPLY = 2, 64, 0x4746, 56, 0x80
local DEFAULT_PORTS = "4600-4663"
local SHOWN_MS_MAX = 253402300799999 -- 9999-12-31: later times are shown as numbers only

-- The rows of the page; tests/unit/dissector.py compares them.
local OPS = {
    [1] = "RESERVE", [2] = "CONFIRM", [3] = "CANCEL", [4] = "QUERY", [5] = "STOCK", [6] = "EXTEND",
    [7] = "REFUND", [8] = "ORDERS", [9] = "WAIT",
}
local STATUSES = {
    [1] = "RESERVED", [2] = "SOLD", [3] = "CANCELLED", [4] = "EXPIRED", [5] = "SOLD_OUT",
    [6] = "INSUFFICIENT", [7] = "USER_LIMIT", [8] = "BAD_QUANTITY", [9] = "NOT_OPEN", [10] = "CLOSED",
    [11] = "PAUSED", [12] = "UNKNOWN_ITEM", [13] = "UNKNOWN_ORDER", [14] = "CONFLICT", [15] = "DENIED",
    [16] = "BUSY", [17] = "FULL", [18] = "UNAVAILABLE", [19] = "ON_SALE", [20] = "USER_RATE",
    [21] = "USER_DENIED", [22] = "REFUNDED", [23] = "WAITING", [24] = "NOT_LEADER", [25] = "WRONG_SHARD",
}
-- Fields that an operation may set, beside those that all have. A missing one must be zero.
local MAY_SET = {
    RESERVE = { user = true, item = true, quantity = true },
    CONFIRM = { user = true },
    CANCEL = { user = true },
    QUERY = { user = true },
    STOCK = { item = true },
    EXTEND = { user = true, until_ms = true },
    REFUND = { user = true, flags = true },
    ORDERS = { user = true, item = true, quantity = true },
    WAIT = { user = true, item = true, quantity = true },
}
local REFUND, STOCK, STATUS_WAITING, STATUS_WRONG_SHARD = 7, 5, 23, 25
local RESTOCK, LATE = 1, 1
local TAG_GOOD, TAG_BAD, TAG_UNVERIFIED = 1, 0, 2

local proto = Proto("floodgate", "Floodgate Order Packet")

local f = {
    magic = ProtoField.uint16("floodgate.magic", "Magic", base.HEX),
    version = ProtoField.uint8("floodgate.version", "Version"),
    op = ProtoField.uint8("floodgate.op", "Operation", base.DEC, OPS, 0x7f),
    is_reply = ProtoField.bool("floodgate.reply", "Reply", 8, nil, REPLY),
    key_id = ProtoField.uint16("floodgate.key_id", "Key id"),
    quantity = ProtoField.uint16("floodgate.quantity", "Quantity"),
    order_id = ProtoField.bytes("floodgate.order_id", "Order id"),
    user = ProtoField.uint64("floodgate.user", "User"),
    item = ProtoField.uint64("floodgate.item", "Item"),
    until_ms = ProtoField.uint64("floodgate.until_ms", "Hold until, Unix ms"),
    until_time = ProtoField.absolute_time("floodgate.until", "Hold until", base.UTC),
    flags = ProtoField.uint8("floodgate.flags", "Flags", base.HEX),
    restock = ProtoField.bool("floodgate.flags.restock", "Restock", 8, nil, RESTOCK),
    late = ProtoField.bool("floodgate.flags.late", "Late: confirmed after the hold had ended", 8, nil, LATE),
    deadline_ms = ProtoField.uint64("floodgate.deadline_ms", "Deadline, Unix ms"),
    deadline_time = ProtoField.absolute_time("floodgate.deadline", "Deadline", base.UTC),
    ticket = ProtoField.uint32("floodgate.ticket", "Ticket"),
    expected_ms = ProtoField.uint32("floodgate.expected_ms", "Expected until the turn, ms"),
    waiting = ProtoField.uint32("floodgate.waiting", "Users who wait"),
    left = ProtoField.uint32("floodgate.left", "Units left"),
    retry_ms = ProtoField.uint32("floodgate.retry_ms", "Ask again after, ms"),
    status = ProtoField.uint8("floodgate.status", "Status", base.DEC, STATUSES),
    shard_map = ProtoField.uint16("floodgate.shard_map", "Version of the shard map"),
    reserved = ProtoField.bytes("floodgate.reserved", "Reserved"),
    cookie = ProtoField.uint32("floodgate.cookie", "Cookie"),
    tag = ProtoField.uint64("floodgate.tag", "Tag", base.HEX),
    tag_status = ProtoField.uint8("floodgate.tag.status", "Tag status", base.DEC,
        { [TAG_GOOD] = "Good", [TAG_BAD] = "Bad", [TAG_UNVERIFIED] = "Unverified" }),
    request_in = ProtoField.framenum("floodgate.request_in", "Request in", base.NONE, frametype.REQUEST),
    reply_in = ProtoField.framenum("floodgate.reply_in", "Reply in", base.NONE, frametype.RESPONSE),
    time = ProtoField.relative_time("floodgate.time", "Time from this request's transmission"),
    time_first = ProtoField.relative_time("floodgate.time_first", "Time from the first transmission"),
    retransmission = ProtoField.bool("floodgate.retransmission", "Retransmission"),
    first_in = ProtoField.framenum("floodgate.first_in", "First transmission in", base.NONE, frametype.RETRANS_PREV),
}
local list = {}
for _, field in pairs(f) do
    list[#list + 1] = field
end
proto.fields = list

local function problem(name, text, group, severity)
    return ProtoExpert.new("floodgate." .. name, text, group, severity)
end
local e = {
    length = problem("bad_length", "The payload is not 64 bytes: no answer", expert.group.MALFORMED, expert.severity.ERROR),
    magic = problem("bad_magic", "Wrong magic: no answer", expert.group.MALFORMED, expert.severity.ERROR),
    version = problem("bad_version", "Another version of the protocol: no answer", expert.group.MALFORMED, expert.severity.ERROR),
    op = problem("unknown_op", "Unknown operation: no answer", expert.group.PROTOCOL, expert.severity.WARN),
    shape = problem("bad_shape", "A field that must be zero is set: no answer", expert.group.PROTOCOL, expert.severity.WARN),
    status = problem("unknown_status", "Unknown status: clients treat it as BUSY", expert.group.PROTOCOL, expert.severity.WARN),
    tag = problem("bad_tag", "Wrong tag: a forgery, damage, or another key", expert.group.SECURITY, expert.severity.ERROR),
    key = problem("unknown_key", "No key of this id in the preferences", expert.group.SECURITY, expert.severity.NOTE),
    orphan = problem("no_request", "No request of this cookie in the capture", expert.group.SEQUENCE, expert.severity.NOTE),
    retransmission = problem("retransmitted", "Retransmission of an unanswered request", expert.group.SEQUENCE, expert.severity.NOTE),
    keys = problem("bad_keys", "The keys of the preferences cannot be used", expert.group.UNDECODED, expert.severity.WARN),
}
proto.experts = { e.length, e.magic, e.version, e.op, e.shape, e.status, e.tag, e.key, e.orphan, e.retransmission, e.keys }

proto.prefs.ports = Pref.range("UDP ports", DEFAULT_PORTS, "Order ports of the appliance", 65535)
proto.prefs.key_file = Pref.string("Key file", "",
    "Key file of the appliance: one `ID ROLE[,ROLE...] SECRET` a line. Empty: none")
proto.prefs.keys = Pref.string("Keys", "",
    "Further keys, as ID:SECRET[,ID:SECRET...], each secret 32 hexadecimal digits. Empty: none")

-- ---- tag: SipHash-2-4 of bytes 0 to 55 -------------------------------------------------------------------

local function round(v)
    v[1] = v[1] + v[2]; v[2] = v[2]:rol(13):bxor(v[1]); v[1] = v[1]:rol(32)
    v[3] = v[3] + v[4]; v[4] = v[4]:rol(16):bxor(v[3])
    v[1] = v[1] + v[4]; v[4] = v[4]:rol(21):bxor(v[1])
    v[3] = v[3] + v[2]; v[2] = v[2]:rol(17):bxor(v[3]); v[3] = v[3]:rol(32)
end

local function absorb(v, word)
    v[4] = v[4]:bxor(word)
    round(v)
    round(v)
    v[1] = v[1]:bxor(word)
end

local function tag_of(tvb, key)
    local v = {
        key[1]:bxor(UInt64.new(0x70736575, 0x736f6d65)), key[2]:bxor(UInt64.new(0x6e646f6d, 0x646f7261)),
        key[1]:bxor(UInt64.new(0x6e657261, 0x6c796765)), key[2]:bxor(UInt64.new(0x79746573, 0x74656462)),
    }

    for at = 0, TAG_AT - 8, 8 do
        absorb(v, tvb(at, 8):le_uint64())
    end
    absorb(v, UInt64.new(0, TAG_AT * 0x1000000)) -- the length, in the highest byte
    v[3] = v[3]:bxor(UInt64.new(0xff, 0))
    for _ = 1, 4 do
        round(v)
    end
    return v[1]:bxor(v[2]):bxor(v[3]):bxor(v[4])
end

-- ---- keys ------------------------------------------------------------------------------------------------

local keys, keys_problem, keys_from = {}, nil, nil

-- Four bytes, the lowest first.
local function word32(hex, at)
    local n = 0
    for i = 3, 0, -1 do
        n = n * 256 + tonumber(hex:sub(at + 2 * i, at + 2 * i + 1), 16)
    end
    return n
end

local function add_key(id, secret)
    id = tonumber(id)
    if not id or id < 1 or id > 65535 or #secret ~= 32 or secret:find("%X") then
        return false
    end
    keys[id] = { UInt64.new(word32(secret, 1), word32(secret, 9)), UInt64.new(word32(secret, 17), word32(secret, 25)) }
    return true
end

local function read_key_file(path)
    local file = io.open(path, "r")
    local number = 0

    if not file then
        keys_problem = path .. ": cannot be read"
        return
    end
    for line in file:lines() do
        number = number + 1
        line = line:gsub("#.*", "")
        local id, secret = line:match("^%s*(%d+)%s+%S+%s+(%x+)%s*$")
        if line:find("%S") and not (id and add_key(id, secret)) then
            keys_problem = path .. ":" .. number .. ": not `ID ROLE[,ROLE...] SECRET`"
            break
        end
    end
    file:close()
end

local function load_keys()
    keys, keys_problem = {}, nil
    if proto.prefs.key_file ~= "" then
        read_key_file(proto.prefs.key_file)
    end
    for pair in proto.prefs.keys:gmatch("[^,%s]+") do
        local id, secret = pair:match("^(%d+):(%x+)$")
        if not (id and add_key(id, secret)) then
            keys_problem = "preference Keys: not ID:SECRET[,ID:SECRET...]" -- and not the text: it has secrets
        end
    end
end

-- ---- which reply belongs to which request ----------------------------------------------------------------

local frames     -- number of a frame -> what the first pass found out about its packet
local waiting    -- flow and cookie -> the last request of it without a reply
local unanswered -- flow and content without the cookie -> the first such request without a reply

local function forget()
    frames, waiting, unanswered = {}, {}, {}
    keys_from = nil
end

local function end_of(address, port)
    return tostring(address) .. " " .. port
end

-- The cookie is not part of the content: each transmission may have its own.
local function note_request(tvb, pinfo, about)
    local flow = end_of(pinfo.src, pinfo.src_port) .. " " .. end_of(pinfo.dst, pinfo.dst_port)
    local content = flow .. tvb:raw(2, 50)
    local first = unanswered[content]

    about.at, about.content = pinfo.rel_ts, content
    if first then
        about.first = first
    else
        unanswered[content] = about
    end
    waiting[flow .. tvb:raw(52, 4) .. tvb:raw(3, 3)] = about
end

local function note_reply(tvb, pinfo, about)
    local flow = end_of(pinfo.dst, pinfo.dst_port) .. " " .. end_of(pinfo.src, pinfo.src_port)
    local op = string.char(tvb(3, 1):uint() - REPLY)
    local request = waiting[flow .. tvb:raw(52, 4) .. op .. tvb:raw(4, 2)]

    about.at, about.request = pinfo.rel_ts, request
    if not request then
        return
    end
    if not request.reply then
        request.reply = about
    end
    unanswered[request.content] = nil
end

local function note(tvb, pinfo, reply)
    local about = frames[pinfo.number]

    if about then
        return about
    end
    about = { frame = pinfo.number }
    frames[pinfo.number] = about
    if reply then
        note_reply(tvb, pinfo, about)
    else
        note_request(tvb, pinfo, about)
    end
    return about
end

local function span(from, to)
    local seconds = to - from
    local whole = math.floor(seconds)

    return NSTime.new(whole, math.floor((seconds - whole) * 1e9 + 0.5))
end

-- ---- the tree --------------------------------------------------------------------------------------------

local function add_time(tree, ms_field, time_field, range)
    local ms = tonumber(tostring(range:le_uint64()))

    tree:add_le(ms_field, range)
    if ms > 0 and ms <= SHOWN_MS_MAX then
        local seconds = math.floor(ms / 1000)
        tree:add(time_field, range, NSTime.new(seconds, (ms - seconds * 1000) * 1000000)):set_generated()
    end
end

local function is_zero(range)
    return not range:bytes():tohex():find("[^0]")
end

local function add_request(tvb, tree, op)
    local may = MAY_SET[OPS[op]]
    local parts = {
        { "quantity", tvb(6, 2) }, { "user", tvb(24, 8) }, { "item", tvb(32, 8) }, { "until_ms", tvb(40, 8) },
        { "flags", tvb(48, 1) },
    }

    tree:add_le(f.quantity, tvb(6, 2))
    tree:add(f.order_id, tvb(8, 16))
    tree:add_le(f.user, tvb(24, 8))
    tree:add_le(f.item, tvb(32, 8))
    add_time(tree, f.until_ms, f.until_time, tvb(40, 8))
    local flags = tree:add(f.flags, tvb(48, 1))
    if op == REFUND then
        flags:add(f.restock, tvb(48, 1))
    end
    local reserved = tree:add(f.reserved, tvb(49, 3))
    if not may then
        tree:add_proto_expert_info(e.op)
        return
    end
    for _, part in ipairs(parts) do
        if not may[part[1]] and not is_zero(part[2]) then
            tree:add_proto_expert_info(e.shape, part[1] .. " is set: " .. OPS[op] .. " leaves it zero, no answer")
        end
    end
    if not is_zero(tvb(49, 3)) or tvb(48, 1):uint() > RESTOCK then
        reserved:add_proto_expert_info(e.shape)
    end
end

local function add_reply(tvb, tree, op)
    local status = tvb(48, 1):uint()

    tree:add_le(f.quantity, tvb(6, 2))
    tree:add(f.order_id, tvb(8, 16))
    if op == STOCK or status == STATUS_WAITING then
        tree:add_le(f.ticket, tvb(24, 4))
        tree:add_le(op == STOCK and f.waiting or f.expected_ms, tvb(28, 4))
    else
        add_time(tree, f.deadline_ms, f.deadline_time, tvb(24, 8))
    end
    tree:add_le(f.item, tvb(32, 8))
    tree:add_le(f.left, tvb(40, 4))
    tree:add_le(f.retry_ms, tvb(44, 4))
    local item = tree:add(f.status, tvb(48, 1))
    tree:add(f.flags, tvb(49, 1)):add(f.late, tvb(49, 1))
    tree:add_le(f.shard_map, tvb(50, 2))
    if not STATUSES[status] then
        item:add_proto_expert_info(e.status)
    end
    if not OPS[op] then
        tree:add_proto_expert_info(e.op)
    end
end

local function add_tag(tvb, tree)
    local item = tree:add_le(f.tag, tvb(TAG_AT, 8))
    local key = keys[tvb(4, 2):le_uint()]
    local verdict = TAG_UNVERIFIED

    if key then
        verdict = tag_of(tvb, key) == tvb(TAG_AT, 8):le_uint64() and TAG_GOOD or TAG_BAD
    end
    item:add(f.tag_status, verdict):set_generated()
    if verdict == TAG_BAD then
        item:add_proto_expert_info(e.tag)
    elseif keys_problem then
        item:add_proto_expert_info(e.keys, keys_problem)
    elseif not key and next(keys) then
        item:add_proto_expert_info(e.key)
    end
end

local function add_request_links(tree, about)
    local first = about.first

    tree:add(f.retransmission, first ~= nil):set_generated()
    if first then
        tree:add(f.first_in, first.frame):set_generated()
        tree:add_proto_expert_info(e.retransmission)
    end
    if about.reply then
        tree:add(f.reply_in, about.reply.frame):set_generated()
    end
end

local function add_reply_links(tree, about)
    local request = about.request

    if not request then
        tree:add_proto_expert_info(e.orphan)
        return
    end
    tree:add(f.request_in, request.frame):set_generated()
    tree:add(f.time, span(request.at, about.at)):set_generated()
    tree:add(f.time_first, span((request.first or request).at, about.at)):set_generated()
end

local function describe_request(tvb, op, about)
    local text = (OPS[op] or ("operation " .. op)) .. " user=" .. tostring(tvb(24, 8):le_uint64())

    if not is_zero(tvb(32, 8)) then
        text = text .. " item=" .. tostring(tvb(32, 8):le_uint64())
    end
    if tvb(6, 2):le_uint() > 0 then
        text = text .. " quantity=" .. tvb(6, 2):le_uint()
    end
    return (about.first and "[Retransmission] " or "") .. text
end

local function describe_reply(tvb, op)
    local status = tvb(48, 1):uint()
    local text = (OPS[op] or ("operation " .. op)) .. ": " .. (STATUSES[status] or ("status " .. status))

    if status == STATUS_WRONG_SHARD then
        return text .. " member=" .. tvb(6, 2):le_uint() .. " shards=" .. tvb(40, 4):le_uint()
    end
    if tvb(40, 4):le_uint() > 0 then
        text = text .. " left=" .. tvb(40, 4):le_uint()
    end
    if tvb(44, 4):le_uint() > 0 then
        text = text .. " retry=" .. tvb(44, 4):le_uint() .. "ms"
    end
    return text
end

-- Magic and version in front: nothing else is known of a packet where they are wrong.
local function is_ours(tvb, tree, pinfo)
    if tvb:len() ~= SIZE then
        tree:add_proto_expert_info(e.length)
        pinfo.cols.info = "Not an order packet: " .. tvb:len() .. " bytes"
        return false
    end
    tree:add_le(f.magic, tvb(0, 2))
    local version = tree:add(f.version, tvb(2, 1))
    if tvb(0, 2):le_uint() ~= MAGIC then
        tree:add_proto_expert_info(e.magic)
        pinfo.cols.info = "Not an order packet: wrong magic"
        return false
    end
    if tvb(2, 1):uint() ~= VERSION then
        version:add_proto_expert_info(e.version)
        pinfo.cols.info = "Order packet of version " .. tvb(2, 1):uint()
        return false
    end
    return true
end

function proto.dissector(tvb, pinfo, parent)
    local tree = parent:add(proto, tvb())

    pinfo.cols.protocol = "Floodgate"
    if not is_ours(tvb, tree, pinfo) then
        return tvb:len()
    end
    if keys_from ~= proto.prefs.key_file .. "\n" .. proto.prefs.keys then
        keys_from = proto.prefs.key_file .. "\n" .. proto.prefs.keys
        load_keys()
    end
    local reply, op = tvb(3, 1):uint() >= REPLY, tvb(3, 1):uint() % REPLY
    local about = note(tvb, pinfo, reply)

    tree:add(f.is_reply, tvb(3, 1))
    tree:add(f.op, tvb(3, 1))
    tree:add_le(f.key_id, tvb(4, 2))
    if reply then
        add_reply(tvb, tree, op)
    else
        add_request(tvb, tree, op)
    end
    tree:add_le(f.cookie, tvb(52, 4))
    add_tag(tvb, tree)
    if reply then
        add_reply_links(tree, about)
        pinfo.cols.info = describe_reply(tvb, op)
    else
        add_request_links(tree, about)
        pinfo.cols.info = describe_request(tvb, op, about)
    end
    tree:append_text(", " .. (reply and describe_reply(tvb, op) or describe_request(tvb, op, about)))
    return SIZE
end

local ports = DissectorTable.get("udp.port")
local registered = proto.prefs.ports

function proto.prefs_changed()
    if proto.prefs.ports ~= registered then
        ports:remove(registered, proto)
        registered = proto.prefs.ports
        ports:add(registered, proto)
    end
    keys_from = nil
end

proto.init = forget
forget()
ports:add(registered, proto)
