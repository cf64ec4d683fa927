-- ARGV: most records to remove. Gives how many were.
return trim(tonumber(ARGV[1]), true)
