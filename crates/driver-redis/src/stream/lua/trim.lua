-- ARGV: most records to remove. Returns how many were removed.
return trim(tonumber(ARGV[1]), true)
