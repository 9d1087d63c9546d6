-- SPDX-License-Identifier: BSD-3-Clause
-- Pktgen-DPDK: a sweep of rates with a pcap file, and for each what was sent and what was answered. See docs/pktgen.md.
--   pktgen -l 0-2 -n 4 -a 0000:01:00.0 -- -P -m "1:2.0" -s 0:pcaps/reserve.pcap -f tools/pktgen/pktgen.lua
-- RATES (percent of the line), SECONDS and PORT may be given in the environment.
package.path = package.path .. ";?.lua;test/?.lua;app/?.lua"
require "Pktgen"

local port = os.getenv("PORT") or "0"
local seconds = tonumber(os.getenv("SECONDS") or "10")
local rates = {}
for rate in string.gmatch(os.getenv("RATES") or "1 2 5 10 20 50 100", "[%d.]+") do
  rates[#rates + 1] = tonumber(rate)
end

local number = tonumber(port)

local function packets()
  local stats = pktgen.portStats(port, "port")[number]
  return stats.opackets, stats.ipackets
end

-- Sent and received packets of one rate; the appliance gets a second to answer what is on its way.
local function measure(rate)
  pktgen.set(port, "rate", rate)
  local sent, received = packets()
  pktgen.start(port)
  pktgen.delay(seconds * 1000)
  pktgen.stop(port)
  pktgen.delay(1000)
  local sent_after, received_after = packets()
  return sent_after - sent, received_after - received
end

pktgen.stop(port)
pktgen.set(port, "count", 0) -- until stopped
pktgen.clear(port)
print(string.format("%10s %14s %14s %10s", "rate, %", "sent/s", "answered/s", "answered"))
for _, rate in ipairs(rates) do
  local sent, answered = measure(rate)
  print(string.format("%10.2f %14.0f %14.0f %9.2f%%", rate, sent / seconds, answered / seconds,
                      sent > 0 and 100 * answered / sent or 0))
end
pktgen.quit()
