-- Rendered by estiba: what the edge does beside passing requests on.
local folder = "/estiba/"
local fence = Map.new(folder .. "state/fence.map", Map._str)
local slot = Map.new(folder .. "state/slot.map", Map._str)

-- While one release has stopped and the next has not started, requests wait here: at most five minutes.
core.register_action("park", { "http-req" }, function(txn)
    for _ = 1, 3000 do
        if fence:lookup("fence") ~= "park" then return end
        core.msleep(100)
    end
end)

-- An edge that has just started knows its containers by their names alone: until it has found the first, requests wait here,
-- at most fifteen seconds from its start on.
local started = nil
core.register_task(function() started = core.now().sec end)

local function await(txn, port)
    while not started or core.now().sec < started + 15 do
        local serving = slot:lookup("slot")
        if not serving or serving == "none" or txn.f:nbsrv(serving .. "_" .. port) > 0 then break end
        core.msleep(50)
    end
    txn:set_var("proc.found_" .. port, true)
end
core.register_action("await", { "tcp-req", "http-req" }, await, 1)

-- While migrations run, what is not let through is answered here: with the team's own page, where there is one.
core.register_service("fenced", "http", function(applet)
    local body = "The site is being updated. Please try again in a moment.\n"
    local kind = "text/plain"
    local page = io.open(folder .. "maintenance.html", "r")
    if page then
        body = page:read("a")
        kind = "text/html"
        page:close()
    end
    applet:set_status(503)
    applet:add_header("content-type", kind)
    applet:add_header("content-length", tostring(#body))
    applet:add_header("retry-after", "30")
    applet:add_header("cache-control", "no-store")
    applet:start_response()
    if applet.method ~= "HEAD" then applet:send(body) end
end)
